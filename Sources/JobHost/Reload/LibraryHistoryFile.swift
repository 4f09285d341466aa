import CLinux
import Glibc
import JobCore
import JobJSON

/// `<state_dir>/plugins/versions.json`. Written whole and renamed into place, so that what is read is
/// never half of something. Any thread.
struct LibraryHistoryFile: Sendable {
    private let folder: String
    private var path: String { folder + "/versions.json" }
    private static let longest = 16 << 20

    init(stateDir: String) { folder = stateDir + "/plugins" }

    /// A file that is not there is an empty history; one that cannot be understood too, with
    /// what is wrong with it: the host must start.
    func read() -> (history: LibraryHistory, problem: String?) {
        let file = cl_open(path, O_RDONLY | O_NOFOLLOW, 0)
        guard file >= 0 else { return (LibraryHistory(), file == -ENOENT ? nil : problem(errorText(-file))) }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= Self.longest {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return (LibraryHistory(), problem(errorText(errno))) }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        do {
            return (try JSON(parsing: bytes, limits: .init(bytes: Self.longest)).decode(LibraryHistory.self), nil)
        } catch {
            return (LibraryHistory(), problem("\(error)"))
        }
    }

    private func problem(_ reason: String) -> String {
        "the history of libraries \(path) cannot be read, so it begins anew: \(reason)"
    }

    /// Throws a `HostFault`: on disk is what was there before.
    func write(_ history: LibraryHistory) throws {
        let bytes = try JSON(encoding: history).canonicalBytes
        if mkdir(folder, 0o755) != 0, errno != EEXIST { throw HostFault("make \(folder)", code: errno) }
        let fresh = path + ".new"
        let file = cl_open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o644)
        guard file >= 0 else { throw HostFault("write \(fresh)", code: -file) }
        var done = 0
        var fault: Int32 = 0
        while done < bytes.count, fault == 0 {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + done, bytes.count - done) }
            if count > 0 { done += count } else if errno != EINTR { fault = errno }
        }
        if fault == 0, fsync(file) != 0 { fault = errno }
        close(file)
        if fault == 0, rename(fresh, path) != 0 { fault = errno }
        guard fault == 0 else {
            unlink(fresh)
            throw HostFault("write \(path)", code: fault)
        }
        let handle = cl_open(folder, O_RDONLY | O_DIRECTORY, 0)
        if handle >= 0 {
            fsync(handle)
            close(handle)
        }
    }
}
