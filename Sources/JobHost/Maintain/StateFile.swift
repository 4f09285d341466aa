import CLinux
import Glibc

/// A small file of the host's own, written whole and renamed into place, so that what is read is never half of
/// something. Any thread.
struct StateFile: Sendable {
    let folder: String
    let name: String
    /// What is longer is not read.
    let longest: Int
    var mode: mode_t = 0o644
    var path: String { folder + "/" + name }

    /// nil: there is none.
    func read() throws(HostFault) -> [UInt8]? {
        let file = cl_open(path, O_RDONLY | O_NOFOLLOW, 0)
        if file == -ENOENT { return nil }
        guard file >= 0 else { throw HostFault("open it", code: -file) }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= longest {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw HostFault("read it", code: errno) }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
        throw HostFault("read it", code: EFBIG)
    }

    /// When it throws, on disk is what was there before.
    func write(_ bytes: [UInt8]) throws(HostFault) {
        if mkdir(folder, 0o755) != 0, errno != EEXIST { throw HostFault("make \(folder)", code: errno) }
        let fresh = path + ".new"
        let file = cl_open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode)
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

    /// Out of the way of the next one, for whoever wants to look at it. → Where it lies.
    func setAside() -> String {
        let aside = path + ".damaged"
        rename(path, aside)
        return aside
    }
}
