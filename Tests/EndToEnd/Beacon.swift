import Glibc

/// A FIFO through which plugins say what they are doing, at the moment they do it: `tell` of
/// `PluginSource.signals`.
final class Beacon: Sendable {
    let lines: Lines
    private let writeEnd: Int32

    init(path: String) throws {
        mkfifo(path, 0o666)
        chmod(path, 0o666)
        let readEnd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        // Keeps the FIFO open while no plugin has it.
        writeEnd = open(path, O_WRONLY | O_CLOEXEC)
        guard readEnd >= 0, writeEnd >= 0, fcntl(readEnd, F_SETFL, 0) == 0 else {
            throw TestHost.Failure("cannot open \(path): \(errno)")
        }
        lines = Lines(descriptor: readEnd)
    }

    /// The next line that begins with this word, from `from` on: what follows the word.
    func hears(_ word: String, from: Int = 0) async throws -> (index: Int, rest: String) {
        guard let found = await lines.next(from: from, where: { $0.hasPrefix(word) }) else {
            throw TestHost.Failure("no plugin said '\(word)'; said was: \(lines.all)")
        }
        return (found.index, String(found.line.dropFirst(word.count).drop { $0 == " " }))
    }

    /// The process that said this word.
    func pid(_ word: String, from: Int = 0) async throws -> pid_t {
        let said = try await hears(word, from: from)
        guard let pid = pid_t(said.rest.split(separator: " ").first ?? "") else {
            throw TestHost.Failure("no pid in '\(said.rest)'")
        }
        return pid
    }

    func end() { close(writeEnd) }
}

/// A FIFO at which plugins wait: `wait_gate` of `PluginSource.signals`.
final class PluginGate: Sendable {
    // Held for both directions: it never blocks, and bytes stay for those who come later.
    private let descriptor: Int32

    init(path: String) throws {
        mkfifo(path, 0o666)
        chmod(path, 0o666)
        descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw TestHost.Failure("cannot open \(path): \(errno)") }
    }

    /// Lets so many waiters go on, now or when they come.
    func open(_ times: Int = 1) throws {
        let bytes = [UInt8](repeating: 1, count: times)
        guard write(descriptor, bytes, times) == times else { throw TestHost.Failure("cannot open the gate: \(errno)") }
    }

    func end() { close(descriptor) }
}
