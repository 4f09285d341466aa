import CLinux
import Glibc

/// A command that an operator named for bringing a listener back. Executed as it is written,
/// without a shell, in a process group of its own, for a bounded time.
struct RestartCommand: Hashable, Sendable {
    /// Program (looked up in PATH where it has no slash) and arguments.
    var argv: [String]
    /// Milliseconds.
    var timeout: Int64

    enum Outcome: Hashable, Sendable, CustomStringConvertible {
        case succeeded
        case exited(Int32, output: String)
        case killed(signal: Int32)
        case timedOut
        case notStarted(String)

        var description: String {
            switch self {
            case .succeeded: "succeeded"
            case .exited(let code, let output): "ended with code \(code)\(output.isEmpty ? "" : ": " + output)"
            case .killed(let signal): "was ended by signal \(signal)"
            case .timedOut: "took too long and was killed"
            case .notStarted(let reason): "could not be started: \(reason)"
            }
        }
    }

    /// Of its output the end is kept, in bytes.
    private static let keptOutput = 400

    /// Waits for its end; reads what it says, so that it never blocks on that.
    func run() -> Outcome {
        guard let path = program() else { return .notStarted("there is no program '\(argv.first ?? "")' in PATH") }
        var channel = cl_channel()
        let opened = cl_channel_open(&channel)
        guard opened == 0 else { return .notStarted(String(cString: strerror(-opened))) }
        defer { for descriptor in [channel.out_here, channel.socket_here, channel.err_here] { close(descriptor) } }
        var (pid, pidfd): (Int32, Int32) = (-1, -1)
        let code = spawn(path, channel, &pid, &pidfd)
        for descriptor in [channel.out_there, channel.socket_there, channel.err_there] { close(descriptor) }
        guard code == 0 else { return .notStarted(String(cString: strerror(-code))) }
        defer { close(pidfd) }
        return wait(pid, pidfd, output: channel.out_here)
    }

    private func program() -> String? {
        guard let name = argv.first, !name.isEmpty else { return nil }
        if name.contains("/") { return name }
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    private func spawn(_ path: String, _ channel: cl_channel, _ pid: inout Int32, _ pidfd: inout Int32) -> Int32 {
        var arguments: [UnsafeMutablePointer<CChar>?] = argv.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        return path.withCString { path in
            "/".withCString { folder in
                arguments.withUnsafeMutableBufferPointer { arguments in
                    var plan = cl_spawn_plan()
                    plan.path = path
                    plan.argv = UnsafePointer(arguments.baseAddress)
                    plan.envp = UnsafePointer(environ)
                    plan.cwd = folder
                    plan.socket = channel.socket_there
                    plan.out = channel.out_there
                    plan.err = channel.out_there
                    return cl_spawn(&plan, &pid, &pidfd)
                }
            }
        }
    }

    private func wait(_ pid: Int32, _ pidfd: Int32, output: Int32) -> Outcome {
        let deadline = Self.milliseconds() + timeout
        var tail: [UInt8] = []
        var isOpen = true
        while true {
            var watched = [
                pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isOpen ? output : -1, events: Int16(POLLIN), revents: 0),
            ]
            let left = deadline - Self.milliseconds()
            let ready = left > 0 ? poll(&watched, 2, Int32(clamping: left)) : 0
            if ready <= 0, left <= 0 || errno != EINTR {
                kill(-pid, SIGKILL)
                _ = reap(pidfd, patience: -1)
                return .timedOut
            }
            if watched[1].revents != 0 { isOpen = Self.read(output, into: &tail) }
            // Whoever has inherited its output is not waited for.
            if watched[0].revents != 0, let end = reap(pidfd, patience: 0) {
                while isOpen, Self.read(output, into: &tail) {}
                return Self.outcome(end, tail)
            }
        }
    }

    /// - Parameter patience: milliseconds; -1: until it has ended.
    private func reap(_ pidfd: Int32, patience: Int32) -> cl_exit? {
        var end = cl_exit()
        var watched = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        while poll(&watched, 1, patience) < 0, errno == EINTR {}
        return cl_reap_pidfd(pidfd, &end) == 1 ? end : nil
    }

    /// false: nothing (more) is there.
    private static func read(_ descriptor: Int32, into tail: inout [UInt8]) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return false }
        tail = Array((tail + buffer[..<count]).suffix(keptOutput))
        return true
    }

    private static func outcome(_ end: cl_exit, _ tail: [UInt8]) -> Outcome {
        if end.signalled { return .killed(signal: end.status) }
        if end.status == 0 { return .succeeded }
        let text = String(decoding: tail, as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: " | ")
        return .exited(end.status, output: text)
    }

    private static func milliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
