import Glibc
import JobCore
import NIOPosix
import Synchronization
import UnixSignals

/// Keys as they are pressed, between `begin` and `end`.
protocol Keyboard: Sendable {
    func begin() async
    /// nil: none was pressed.
    func key(within limit: Duration) async -> UInt8?
    func end()
}

/// A terminal's, without line editing, echo and signals: Ctrl-C is a key like others. Signals that
/// come from elsewhere put the terminal back as it was before they end the process.
final class TerminalKeyboard: Keyboard {
    private let descriptor: Int32
    private let saved = Mutex<termios?>(nil)
    private let listener = Mutex<Task<Void, Never>?>(nil)

    init(descriptor: Int32) { self.descriptor = descriptor }

    func begin() async {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sighup, .sigint, .sigquit)
        let task = Task { [weak self] in
            for await signal in signals {
                self?.restore()
                Self.end(by: signal.rawValue)
            }
        }
        listener.withLock { $0 = task }
        takeOver()
    }

    /// As if the signal had not been caught.
    private static func end(by number: Int32) {
        signal(number, SIG_DFL)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        raise(number)
        _exit(128 + number)
    }

    private func takeOver() {
        var mode = termios()
        guard tcgetattr(descriptor, &mode) == 0 else { return }
        let before = mode
        saved.withLock { $0 = before }
        mode.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
        _ = tcsetattr(descriptor, TCSANOW, &mode)
    }

    func end() {
        restore()
        listener.withLock { $0.take() }?.cancel()
    }

    private func restore() {
        guard var before = saved.withLock({ $0.take() }) else { return }
        _ = tcsetattr(descriptor, TCSANOW, &before)
    }

    func key(within limit: Duration) async -> UInt8? {
        let descriptor = descriptor
        let milliseconds = Int32(clamping: limit.milliseconds)
        // poll(2) blocks, which threads of tasks must not.
        let key = try? await NIOThreadPool.singleton.runIfActive { () -> UInt8? in
            var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&wanted, 1, milliseconds) == 1 else { return nil }
            var byte: UInt8 = 0
            // The end of the input, as the closed terminal has it, ends what waits for keys.
            return read(descriptor, &byte, 1) == 1 ? byte : UInt8(ascii: "q")
        }
        return key ?? nil
    }
}
