import Glibc

/// The control socket's place in the file system.
///
/// A socket's mode at bind is 0777 less the umask, and the umask is the whole process's, so it is
/// bound inside a folder that nobody else may enter, made owner-only there, and then renamed to
/// its place: it is never open to others, and a stale one is replaced in one step. That the old
/// one is stale is sure, because the lock on `state_dir` is held.
struct SocketFile: Sendable {
    let path: String
    private let folder: String

    /// `sun_path` of unix(7) holds 107 bytes and a zero.
    static let longestPath = 107

    init(path: String) throws(APIServerError) {
        guard path.utf8.count <= Self.longestPath else {
            throw APIServerError(
                "the control socket's path has \(path.utf8.count) bytes, the system allows \(Self.longestPath): \(path)",
                hint: "give [host] state_dir a shorter path")
        }
        self.path = path
        let slash = path.lastIndex(of: "/")
        let parent = slash.map { String(path[..<$0]) } ?? "."
        folder = parent + "/.sock"
    }

    /// Where to bind.
    var bindPath: String { folder + "/s" }

    /// Makes the private folder, clearing what a killed host left in it.
    func prepare() throws(APIServerError) {
        unlink(bindPath)
        rmdir(folder)
        guard mkdir(folder, 0o700) == 0 else { throw fault("cannot make \(folder)") }
    }

    /// Once bound: owner only, then to its place.
    func publish() throws(APIServerError) {
        guard chmod(bindPath, 0o600) == 0 else { throw fault("cannot restrict \(bindPath)") }
        guard rename(bindPath, path) == 0 else { throw fault("cannot put the control socket at \(path)") }
        rmdir(folder)
    }

    func remove() {
        unlink(bindPath)
        rmdir(folder)
        unlink(path)
    }

    private func fault(_ message: String) -> APIServerError {
        APIServerError("\(message): \(String(cString: strerror(errno)))")
    }
}
