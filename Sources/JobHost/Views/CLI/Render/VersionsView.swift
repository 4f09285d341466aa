/// `jobhost plugin versions`.
struct VersionsView {
    let screen: Screen

    func lines(_ versions: API.PluginVersions) -> [Styled] {
        guard !versions.versions.isEmpty else { return screen.wrapped("\(versions.plugin) has not served yet.") }
        var table = Table([
            .init(""), .init("LIBRARY"), .init("VERSION", yields: [.shrink(2, to: 8)]), .init("SERVED SINCE"),
            .init("", yields: [.shrink(1, to: 24)]),
        ])
        for version in versions.versions {
            let since = version.acceptedAt.map(TimeText.absolute) ?? "never"
            table.add([
                mark(version.state), Styled(String(version.sha256.prefix(12)), .bold), Styled(version.version), Styled(since),
                Styled(version.note.isEmpty ? word(version.state) : version.note),
            ])
        }
        return table.lines(width: screen.width)
    }

    private func mark(_ state: String) -> Styled {
        switch state {
        case "serving": Styled("●", .good)
        case "canary": Styled("◐", .accent)
        case "rolled_back": Styled("✗", .bad)
        default: Styled(" ")
        }
    }

    private func word(_ state: String) -> String {
        switch state {
        case "serving": "serves"
        case "kept": "can be rolled back to"
        default: state
        }
    }
}
