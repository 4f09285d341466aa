import Glibc

/// The acting token of a host whose config names none: made once, readable for the host's own
/// user alone. Whoever can read it could use the socket beside it as well.
struct TokenFile: Sendable {
    let path: String
    init(stateDir: String) { path = stateDir + "/act.token" }

    /// Throws `APIServerError`.
    func token() throws -> String {
        if let token = read(path, limit: 1_024) {
            guard (32...256).contains(token.count), token.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw APIServerError("\(path) does not hold a token", hint: "delete it; the host makes a new one")
            }
            return String(decoding: token, as: UTF8.self)
        }
        guard let random = read("/dev/urandom", limit: 32), random.count == 32 else {
            throw APIServerError("the acting token cannot be made: /dev/urandom does not answer")
        }
        let digits = Array("0123456789abcdef".utf8)
        let token = random.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw fault() }
        defer { close(descriptor) }
        let line = token + [UInt8(ascii: "\n")]
        guard write(descriptor, line, line.count) == line.count else {
            unlink(path)
            throw fault()
        }
        return String(decoding: token, as: UTF8.self)
    }

    /// Without blanks at the end; nil: not there.
    private func read(_ path: String, limit: Int) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = Glibc.read(descriptor, &bytes, limit)
        guard count >= 0 else { return nil }
        bytes.removeSubrange(count...)
        if path != "/dev/urandom" { while let last = bytes.last, last <= 0x20 { bytes.removeLast() } }
        return bytes
    }

    private func fault() -> APIServerError {
        APIServerError("the acting token cannot be written to \(path): \(String(cString: strerror(errno)))")
    }
}
