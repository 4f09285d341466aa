import JobCore

/// A throwaway worker that says what a library is and what it thinks of settings. Whatever
/// happens, the answer comes within the pool's start timeout for the load and for each question.
final class Probe {
    private let spec: PoolSpec
    private let questions: [SettingsQuestion]
    private let loop: EventLoop
    private var process: WorkerProcess?
    private var descriptor: PluginDescriptor?
    private var answers: [String?] = []
    private var timer: EventLoop.TimerToken?
    /// Known before the process has ended; reported after.
    private var verdict: ProbeResult?
    private var completion: ((ProbeResult) -> Void)?

    init(spec: PoolSpec, questions: [SettingsQuestion], loop: EventLoop) {
        self.spec = spec
        self.questions = questions
        self.loop = loop
    }

    /// `completion` is called once, when no process is left.
    func run(spawner: Spawner, reaper: Reaper, completion: @escaping (ProbeResult) -> Void) {
        self.completion = completion
        let handlers = WorkerProcess.Handlers(
            frames: { [self] in for frame in $0 { received(frame) } },
            line: { _, _ in },
            broken: { [self] in decide(.refused("its worker broke the wire: \($0)")) },
            exited: { [self] in exited($0) }
        )
        do {
            process = try WorkerProcess(
                spawner: spawner, environment: spec.environment, user: spec.user, loop: loop, reaper: reaper,
                handlers: handlers
            )
            send(.load(spec.loadRequest))
            rearm()
        } catch let fault {
            verdict = .hostFault(fault.description)
            complete()
        }
    }

    func abort(_ reason: String) { decide(.hostFault(reason)) }

    private func send(_ frame: HostFrame) {
        do {
            try process?.append(frame)
            process?.flush()
        } catch { decide(.refused("what is asked does not fit a frame: \(error)")) }
    }

    private func rearm() {
        if let timer { loop.cancel(timer) }
        timer = loop.timer(after: spec.startTimeout) { [self] in
            let what = asked.map { "no answer about the settings of '\($0.entry)'" } ?? "not loaded"
            decide(.refused(words("\(what) within \(brief(spec.startTimeout))")))
        }
    }

    /// The question that waits for its answer.
    private var asked: SettingsQuestion? {
        descriptor != nil && answers.count < questions.count ? questions[answers.count] : nil
    }

    private func received(_ frame: WorkerFrame) {
        guard verdict == nil else { return }
        switch frame {
        case .ready(let found):
            guard descriptor == nil else { return decide(.refused("it said twice that it was ready")) }
            descriptor = found
            askNext()
        case .refused(_, let message): decide(.refused(message))
        case .validated(let request, let error):
            guard asked != nil, request == UInt32(clamping: answers.count) else { return decide(.refused("it answered what was not asked")) }
            answers.append(error)
            askNext()
        case .started, .log, .progress, .metric, .enqueue, .result, .returned: break
        }
    }

    private func askNext() {
        guard let question = asked else {
            if let descriptor { decide(.loaded(descriptor, answers: answers)) }
            return
        }
        rearm()
        send(.validate(requestID: UInt32(clamping: answers.count), entry: question.entry, settings: question.settings))
    }

    /// The worker is not needed any more: nothing it does in its end changes the verdict.
    private func decide(_ result: ProbeResult) {
        guard verdict == nil else { return }
        verdict = result
        process?.killTree()
    }

    private func exited(_ status: ChildExit) {
        if verdict == nil {
            let when = asked.map { "while it looked at the settings of '\($0.entry)'" } ?? "while the library was loaded"
            verdict = .refused(words("\(status.sentence) \(when)"))
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

extension WorkerProcess {
    /// The sentence, and what was printed last, on one line of bearable length.
    func words(after sentence: String) -> String {
        let words = lastWords
        guard let last = Confession.first(in: words) ?? words.split(whereSeparator: \.isNewline).last.map(String.init) else {
            return sentence
        }
        return "\(sentence); it printed: \(last.prefix(300))"
    }
}
