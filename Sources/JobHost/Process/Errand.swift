import CLinux
import Glibc
import JobCore

/// A program of the operator's, run once with a text on its standard input: how alerts reach
/// what the host does not speak itself. Confined to the loop; at most so many at once.
final class Errand {
    static let timeout = Duration.seconds(30)
    /// Of what it prints, for the message when it fails.
    private static let mostWords = 2_048

    private let command: [String]
    private let loop: EventLoop
    private let reaper: Reaper
    private var process: SpawnedWorker?
    private var watches: [EventLoop.WatchToken] = []
    private var timer: EventLoop.TimerToken?
    private var words: [UInt8] = []
    private var isLate = false
    private var completion: ((String?) -> Void)?

    init(command: [String], loop: EventLoop, reaper: Reaper) {
        self.command = command
        self.loop = loop
        self.reaper = reaper
    }

    /// `completion` is called once, when it has ended: nil, or what is wrong. Until then whoever
    /// started it holds it.
    func run(spawner: Spawner, input: [UInt8], completion: @escaping (String?) -> Void) {
        self.completion = completion
        do {
            let process = try spawner.spawn(errand: command)
            self.process = process
            try reaper.adopt(pid: process.pid, pidfd: process.pidfd) { [self] in exited($0) }
            for end in [process.out, process.err] { watches.append(try loop.watch(fd: end, events: .readable) { [self] _ in hear(end) }) }
            // A socket takes this much at once; a program that reads nothing is not waited for.
            _ = input.withUnsafeBytes { send(process.socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            shutdown(process.socket, Int32(SHUT_WR))
            timer = loop.timer(after: Self.timeout) { [self] in
                isLate = true
                reaper.killTree(process.pid)
            }
        } catch {
            close()
            end("\(command.first ?? "") could not be started: \(error)")
        }
    }

    private func hear(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = read(descriptor, &buffer, buffer.count)
        if count > 0, words.count < Self.mostWords { words += buffer[..<min(count, Self.mostWords - words.count)] }
        guard count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) else { return }
        // Its end comes by the pidfd.
        stopHearing()
    }

    private func stopHearing() {
        for watch in watches { loop.unwatch(watch) }
        watches = []
    }

    private func exited(_ status: ChildExit) {
        let said = String(decoding: words, as: UTF8.self).split(whereSeparator: \.isNewline).last.map { "; it printed: \($0.prefix(300))" } ?? ""
        close()
        let name = command.first ?? ""
        if isLate { return end("\(name) took longer than \(brief(Self.timeout)) and was killed") }
        switch status.way {
        case .code(0): end(nil)
        case .code(let code): end("\(name) exited with code \(code)\(said)")
        case .signal, .unknown: end("\(name) \(status.sentence)\(said)")
        }
    }

    private func close() {
        stopHearing()
        if let timer { loop.cancel(timer) }
        timer = nil
        if let process { for descriptor in [process.socket, process.out, process.err] { Glibc.close(descriptor) } }
        process = nil
    }

    private func end(_ problem: String?) {
        let told = completion
        completion = nil
        told?(problem)
    }
}

extension Errand: Abortable {
    /// Its end is told as that of any other.
    func abort(_ reason: String) {
        if let process { reaper.killTree(process.pid) }
    }
}
