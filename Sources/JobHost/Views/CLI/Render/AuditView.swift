import JobCore

/// `jobhost audit`, and what operators did with one run.
struct AuditView {
    let screen: Screen

    func lines(_ audit: API.Audit, empty: String) -> [Styled] {
        if audit.audit.isEmpty { return screen.wrapped(empty) }
        let older = audit.nextBefore.map { [Styled("older ones: --before \($0)", .dim)] } ?? []
        return table(audit.audit, ofRun: false) + older
    }

    /// `ofRun`: which one it is about need not be said.
    func table(_ entries: [API.AuditEntry], ofRun: Bool) -> [Styled] {
        func title(_ text: String) -> String { ofRun ? "" : text }
        var table = Table(
            [
                .init(title("WHEN"), yields: [.shrink(6, to: 16)]), .init(title("WHO"), yields: [.shrink(4, to: 8), .shrink(9, to: 6)]),
                .init(title("VIA"), yields: [.drop(2)]), .init(title("WHAT"), yields: [.shrink(11, to: 10)]),
                .init(title("JOB"), yields: [.shrink(5, to: 10), .drop(10)]),
                .init(title("DETAIL"), yields: [.shrink(3, to: 10), .drop(8)]), .init(title("WHY"), yields: [.shrink(1, to: 20), .drop(7)]),
            ], indent: ofRun ? 2 : 0)
        for entry in entries {
            // That it was about this run.
            let detail = ofRun && entry.detail.split(separator: " ").count == 2 ? "" : entry.detail
            table.add([
                Styled(TimeText.absolute(entry.at)), Styled(entry.actor), Styled(entry.via, .dim), Styled(entry.action, .bold),
                Styled(ofRun ? "" : entry.job ?? ""), Styled(detail), Styled(entry.reason),
            ])
        }
        return table.lines(width: screen.width)
    }
}
