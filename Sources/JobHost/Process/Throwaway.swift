import Glibc
import JobCore

/// A worker that loads one library, answers what it is asked and is killed. Whatever the plugin
/// does, there is one verdict, when no process is left. Confined to the loop.
class Throwaway<Verdict> {
    let spec: PoolSpec
    private let loop: EventLoop
    private var process: WorkerProcess?
    private var timer: EventLoop.TimerToken?
    /// Known before the process has ended; told after.
    private var verdict: Verdict?
    private var completion: ((Verdict) -> Void)?

    init(spec: PoolSpec, loop: EventLoop) {
        self.spec = spec
        self.loop = loop
    }

    // MARK: What a kind of it says

    func received(_ frame: WorkerFrame) { preconditionFailure("each kind hears for itself") }
    /// The verdict on a plugin that failed: `reason` is a sentence.
    func failed(_ reason: String) -> Verdict { preconditionFailure("each kind judges for itself") }
    /// The verdict on one that took longer than it may.
    func late(_ reason: String) -> Verdict { failed(reason) }
    /// The verdict when the host could not try.
    func hostFault(_ reason: String) -> Verdict { preconditionFailure("each kind judges for itself") }
    /// "while the library was loaded"
    var occupation: String { "while the library was loaded" }

    // MARK: What a kind of it uses

    /// `completion` is called once, when no process is left.
    func run(spawner: Spawner, reaper: Reaper, completion: @escaping (Verdict) -> Void) {
        self.completion = completion
        let handlers = WorkerProcess.Handlers(
            frames: { [self] in for frame in $0 where verdict == nil { received(frame) } },
            line: { _, _ in },
            broken: { [self] in decide(failed("its worker broke the wire: \($0)")) },
            exited: { [self] in exited($0) }
        )
        do {
            process = try WorkerProcess(
                spawner: spawner, environment: spec.environment, user: spec.user, sandbox: spec.sandboxArguments, loop: loop, reaper: reaper,
                handlers: handlers
            )
            send(.load(spec.loadRequest))
            limit(spec.startTimeout) { [self] in expire("not loaded within \(brief(spec.startTimeout))") }
        } catch let fault {
            verdict = hostFault(fault.description)
            complete()
        }
    }

    func send(_ frame: HostFrame) {
        do {
            try process?.append(frame)
            process?.flush()
        } catch { decide(failed("what is asked does not fit a frame: \(error)")) }
    }

    /// Replaces the limit that was set before.
    func limit(_ duration: Duration, _ expired: @escaping () -> Void) {
        if let timer { loop.cancel(timer) }
        timer = loop.timer(after: duration, expired)
    }

    /// The worker is not needed any more: nothing it does in its end changes the verdict.
    func decide(_ result: Verdict) {
        guard verdict == nil else { return }
        verdict = result
        process?.killTree()
    }

    /// Decides against the plugin, with what it printed last.
    func fail(_ reason: String) { decide(failed(words(reason))) }

    /// Decides that it took too long, with what it printed last.
    func expire(_ reason: String) { decide(late(words(reason))) }

    // MARK: Its end

    private func exited(_ status: ChildExit) {
        if verdict == nil {
            let sentence = "\(status.sentence) \(occupation)"
            verdict = switch status.way {
            // Of the worker itself: it could not have what it needs before it looks at the library.
            case .code(WorkerExit.resources.rawValue): hostFault(words(sentence))
            // Not by us, who would have decided: the machine was out of memory, or the library takes more than it may.
            case .signal(SIGKILL): late(words(sentence))
            default: failed(words(sentence))
            }
        }
        complete()
    }

    private func words(_ sentence: String) -> String { process?.words(after: sentence) ?? sentence }

    private func complete() {
        if let timer { loop.cancel(timer) }
        let told = completion
        completion = nil
        process = nil
        if let verdict { told?(verdict) }
    }
}

/// Whatever its verdict is about.
protocol Abortable: AnyObject {
    func abort(_ reason: String)
}

extension Throwaway: Abortable {
    func abort(_ reason: String) { decide(hostFault(reason)) }
}

extension WorkerProcess {
    /// The sentence, and what was printed last, on one line of bearable length.
    func words(after sentence: String) -> String {
        let words = output.lastWords
        guard let last = Confession.first(in: words) ?? words.split(whereSeparator: \.isNewline).last.map(String.init) else {
            return sentence
        }
        return "\(sentence); it printed: \(last.prefix(300))"
    }
}
