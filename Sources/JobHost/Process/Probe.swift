import JobCore

/// A throwaway worker that says what a library is and what it thinks of settings. Whatever
/// happens, the answer comes within the pool's start timeout for the load and for each question.
final class Probe: Throwaway<ProbeResult> {
    private let questions: [SettingsQuestion]
    private var descriptor: PluginDescriptor?
    private var answers: [String?] = []

    init(spec: PoolSpec, questions: [SettingsQuestion], loop: EventLoop) {
        self.questions = questions
        super.init(spec: spec, loop: loop)
    }

    override func failed(_ reason: String) -> ProbeResult { .refused(reason) }
    override func late(_ reason: String) -> ProbeResult { .late(reason) }
    override func hostFault(_ reason: String) -> ProbeResult { .hostFault(reason) }
    override var occupation: String {
        asked.map { "while it looked at the settings of '\($0.entry)'" } ?? super.occupation
    }

    /// The question that waits for its answer.
    private var asked: SettingsQuestion? {
        descriptor != nil && answers.count < questions.count ? questions[answers.count] : nil
    }

    override func received(_ frame: WorkerFrame) {
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
        case .started, .log, .progress, .metric, .enqueue, .result, .returned, .finding, .diagnosed: break
        }
    }

    private func askNext() {
        guard let question = asked else {
            if let descriptor { decide(.loaded(descriptor, answers: answers)) }
            return
        }
        limit(spec.startTimeout) { [self] in
            expire("no answer about the settings of '\(question.entry)' within \(brief(spec.startTimeout))")
        }
        send(.validate(requestID: UInt32(clamping: answers.count), entry: question.entry, settings: question.settings))
    }
}
