import JobCore

/// A throwaway worker in which a plugin's own doctor looks at one job. It is asked to stop at the
/// end of its time and killed `grace` later; what it had found by then is kept.
final class Examination: Throwaway<ExaminationResult> {
    static let grace: Duration = .seconds(2)
    private let question: DoctorQuestion
    private var isAsked = false
    private var findings: [PluginFinding] = []

    init(spec: PoolSpec, question: DoctorQuestion, loop: EventLoop) {
        self.question = question
        super.init(spec: spec, loop: loop)
    }

    override func failed(_ reason: String) -> ExaminationResult { result(isAsked ? .failed(reason) : .notLoaded(reason)) }
    override func hostFault(_ reason: String) -> ExaminationResult { result(.hostFault(reason)) }
    override var occupation: String { isAsked ? "while it looked at the job" : super.occupation }

    private func result(_ end: ExaminationResult.End) -> ExaminationResult {
        ExaminationResult(findings: findings, end: end)
    }

    override func received(_ frame: WorkerFrame) {
        switch frame {
        case .ready: isAsked ? fail("it said twice that it was ready") : ask()
        case .refused(_, let message): decide(result(.notLoaded(message)))
        case .finding(let finding): findings.append(finding)
        case .diagnosed(.complete(let dropped)): decide(result(.complete(dropped: Int(dropped))))
        case .diagnosed(.absent): decide(result(.absent))
        case .diagnosed(.failed(let reason)): decide(result(.failed(reason)))
        case .validated, .started, .log, .progress, .metric, .enqueue, .result, .returned: break
        }
    }

    private func ask() {
        isAsked = true
        send(.diagnose(
            DiagnoseFrame(
                job: question.job, entry: question.entry, settings: question.settings, timeout: question.timeout,
                schemaRequest: question.schemaRequest)))
        limit(question.timeout) { [self] in
            send(.cancel(run: .none))
            limit(Self.grace) { [self] in fail("not done within \(brief(question.timeout))") }
        }
    }
}
