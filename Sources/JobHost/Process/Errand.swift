import CLinux
import Glibc
import JobCore

/// A program of the operator's, run once with a text on its standard input: how alerts reach
/// what the host does not speak itself. Confined to the loop; at most so many at once.
final class Errand {
    static let timeout = Duration.seconds(30)

    private let command: [String]
    private let loop: EventLoop
    private let reaper: Reaper
    private var process: SpawnedWorker?
    /// What it prints, for the message when it fails. Owns the ends of both pipes.
    private var output: WorkerOutput?
    private var timer: EventLoop.TimerToken?
    private var isLate = false
    private var isCut = false
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
            let output = WorkerOutput(out: process.out, err: process.err, slate: nil, loop: loop, isAlone: { true }, line: { _, _ in })
            self.output = output
            do {
                try reaper.adopt(pid: process.pid, pidfd: process.pidfd) { [self] in exited($0) }
            } catch {
                reaper.discard(pid: process.pid, pidfd: process.pidfd)
                throw error
            }
            output.start()
            // A socket takes this much at once; a program that reads nothing is not waited for. One that
            // is gone already tells by its exit code.
            let taken = input.withUnsafeBytes { send(process.socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            isCut = taken >= 0 && taken < input.count
            shutdown(process.socket, Int32(SHUT_WR))
            if isCut { reaper.killTree(process.pid) }
            timer = loop.timer(after: Self.timeout) { [self] in
                isLate = true
                reaper.killTree(process.pid)
            }
        } catch {
            close()
            end("\(command.first ?? "") could not be started: \(error)")
        }
    }

    private func exited(_ status: ChildExit) {
        let said = close()
        let name = command.first ?? ""
        if isCut { return end("\(name) could not be given its whole input at once and was killed") }
        if isLate { return end("\(name) took longer than \(brief(Self.timeout)) and was killed") }
        switch status.way {
        case .code(0): end(nil)
        case .code(let code): end("\(name) exited with code \(code)\(said)")
        case .signal, .unknown: end("\(name) \(status.sentence)\(said)")
        }
    }

    /// Also reads what is still in the pipes: the end of a process may be heard of before its last
    /// words. → those, as the end of a sentence.
    @discardableResult private func close() -> String {
        output?.closeAll()
        let last = output?.lastWords.split(whereSeparator: \.isNewline).last
        output = nil
        if let timer { loop.cancel(timer) }
        timer = nil
        if let process { Glibc.close(process.socket) }
        process = nil
        return last.map { "; it printed: \($0.prefix(300))" } ?? ""
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
