import Glibc
import JobCore
import UnixSignals

/// All that a command touches outside itself; tests hand in their own.
struct CLIEnvironment: Sendable {
    var operations: HostOperations
    /// Of the process.
    var variables: [String: String]
    var clock: any CLIClock
    /// Standard output and standard error.
    var output: any TextSink
    var errors: any TextSink
    /// nil: standard input is no terminal.
    var keyboard: (any Keyboard)?
    var fileExists: @Sendable (String) -> Bool
    /// This user may not know whether it is there.
    var isDenied: @Sendable (String) -> Bool
    /// Returns when the user presses Ctrl-C or the process is asked to end; until then these
    /// signals end nothing.
    var interruption: @Sendable () async -> Void
    /// How long an answer of the host is waited for.
    var patience = Duration.seconds(30)

    @TaskLocal static var current: CLIEnvironment?

    static func system(operations: HostOperations) -> CLIEnvironment {
        CLIEnvironment(
            operations: operations, variables: HostOperations.processEnvironment(), clock: SystemCLIClock(),
            output: DescriptorSink(descriptor: STDOUT_FILENO), errors: DescriptorSink(descriptor: STDERR_FILENO),
            keyboard: isatty(STDIN_FILENO) == 1 ? TerminalKeyboard(descriptor: STDIN_FILENO) : nil,
            fileExists: { access($0, F_OK) == 0 },
            isDenied: { access($0, F_OK) != 0 && errno == EACCES },
            interruption: {
                for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { return }
            })
    }
}

protocol CLIClock: Sendable {
    var now: Instant { get }
    func sleep(_ duration: Duration) async throws
}

struct SystemCLIClock: CLIClock {
    var now: Instant { SystemClock().now().wall }
    func sleep(_ duration: Duration) async throws { try await Task.sleep(for: duration) }  // tidy: clock
}

/// Where text goes.
protocol TextSink: Sendable {
    func write(_ text: String)
    /// For what must arrive whole: throws `CLIFailure` where it does not.
    func write(bytes: [UInt8]) throws
    var isTerminal: Bool { get }
    /// Columns and lines of the terminal; nil: it is none.
    var size: (columns: Int, rows: Int)? { get }
}

struct DescriptorSink: TextSink {
    let descriptor: Int32

    func write(_ text: String) { try? write(bytes: Array(text.utf8)) }

    func write(bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // Nobody reads any more (`| head`): the end, as for programs that leave SIGPIPE as it is.
            // Without it `status --watch` would write into the void for ever.
            if count < 0, errno == EPIPE { endByBrokenPipe() }
            guard count > 0 else { throw CLIFailure(.failed, "cannot write: \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(count)
        }
    }

    private func endByBrokenPipe() -> Never {
        signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
        _exit(128 + SIGPIPE)
    }

    var isTerminal: Bool { isatty(descriptor) == 1 }

    var size: (columns: Int, rows: Int)? {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return (Int(size.ws_col), Int(size.ws_row))
    }
}
