import JobCore
import JobJSON

/// `<state_dir>/plugins/versions.json`. Any thread.
struct LibraryHistoryFile: Sendable {
    private let file: StateFile
    private static let longest = 16 << 20

    init(stateDir: String) { file = StateFile(folder: stateDir + "/plugins", name: "versions.json", longest: Self.longest) }

    /// A file that is not there is an empty history; one that cannot be understood too, with
    /// what is wrong with it: the host must start.
    func read() -> (history: LibraryHistory, problem: String?) {
        do {
            guard let bytes = try file.read() else { return (LibraryHistory(), nil) }
            return (try JSON(parsing: bytes, limits: .init(bytes: Self.longest)).decode(LibraryHistory.self), nil)
        } catch {
            return (LibraryHistory(), "the history of libraries \(file.path) cannot be read, so it begins anew: \(error)")
        }
    }

    /// Throws a `HostFault`: on disk is what was there before.
    func write(_ history: LibraryHistory) throws { try file.write(try JSON(encoding: history).canonicalBytes) }
}
