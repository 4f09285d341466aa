import Glibc

/// A file that is there whole or not at all: written beside its place, and put there at the end.
struct OutputFile: Sendable {
    let path: String
    private let part: String
    private let descriptor: Int32
    private let replaces: Bool

    /// - Parameter replaces: whether a file that is there already gives way.
    init(_ path: String, replaces: Bool) throws(CLIFailure) {
        self.path = path
        self.replaces = replaces
        part = "\(path).part-\(getpid())"
        var found = stat()
        if stat(path, &found) == 0 {
            guard found.st_mode & S_IFMT == S_IFREG else { throw CLIFailure(.usage, "\(path) is there, and is no file") }
            guard replaces else { throw Self.isThere(path) }
        }
        // Payloads may hold what not everybody should read.
        descriptor = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Self.failure("make", part, errno) }
    }

    func write(_ bytes: [UInt8]) throws(CLIFailure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure("write", part, errno) }
            rest = rest.dropFirst(count)
        }
    }

    /// From here on it is at its place, also after a power cut.
    func commit() throws(CLIFailure) {
        guard fsync(descriptor) == 0 else {
            let code = errno
            discard()
            throw Self.failure("write", part, code)
        }
        close(descriptor)
        // A link fails where somebody else was faster; a file system without links has to do with a look.
        var code: Int32 = 0
        if replaces || (link(part, path) != 0 && errno != EEXIST && access(path, F_OK) != 0) {
            code = rename(part, path) == 0 ? 0 : errno
        } else {
            var (mine, there) = (stat(), stat())
            let isMine = stat(part, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev
            code = isMine ? 0 : EEXIST
        }
        unlink(part)
        guard code != EEXIST else { throw Self.isThere(path) }
        guard code == 0 else { throw Self.failure("make", path, code) }
        let folder = open(path.lastIndex(of: "/").map { String(path[...$0]) } ?? ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    /// Leaves nothing behind.
    func discard() {
        close(descriptor)
        unlink(part)
    }

    private static func isThere(_ path: String) -> CLIFailure {
        CLIFailure(.conflict, "\(path) is there already", hint: "--force replaces it")
    }

    private static func failure(_ action: String, _ path: String, _ code: Int32) -> CLIFailure {
        CLIFailure(.failed, "cannot \(action) \(path): \(String(cString: strerror(code)))")
    }
}
