import JobABI
import JobCore
import JobJSON
import Synchronization

/// The host's side of `job_context`: what a run says is checked, bounded and handed on.
/// One object serves all runs of the process; what a thread of the plugin that outlived its run
/// says by that run's context is dropped, also when another run is under way.
final class RunSession: Sendable {
    private struct State {
        /// The call of the plugin that is under way; 0: none.
        var call: UInt64 = 0
        /// nil: the doctor's, which is no run.
        var run: RunID?
        var failCode: Int32 = 0
        var text = ""
        var items: UInt64 = 0
        var snoozeUntil: Instant?
        var retryNotBefore: Instant?
        var stateOnSuccess: StateBlob?
        var stateAlways: StateBlob?
        var enqueues = 0
        var enqueuedBytes = 0
        var progress = ProgressGate()

        /// nil: what says so is of an earlier call, or of the doctor's.
        func run(of call: UInt64) -> RunID? { self.call == call ? run : nil }
    }

    private let state = Mutex(State())
    private let contexts = ContextShelf()
    /// Of the context that was made last.
    private let lastCall = Atomic<UInt64>(0)
    private let deadline = Atomic<Int64>(.max)
    private let inbox: Inbox
    private let output: Output
    private let hostTable: HostTable

    init(pluginName: String, inbox: Inbox, output: Output) {
        self.inbox = inbox
        self.output = output
        hostTable = HostTable(name: pluginName)
    }

    var host: UnsafePointer<job_host> { hostTable.pointer }

    // MARK: the executor's side

    /// The plugin's limit counts from here; the supervisor's from when it hears of `started`, a moment later.
    func begin(_ frame: RunFrame) {
        begin(timeout: frame.timeout, run: frame.run)
    }

    func withContext(
        _ frame: RunFrame, job: String, trigger: String? = nil, _ body: (UnsafePointer<job_context>) -> Int32
    ) -> Int32 {
        let texts = [
            Bytes(frame.idempotencyKey.utf8), Bytes((trigger ?? frame.trigger.rawValue).utf8), Bytes(job.utf8),
            frame.payload, frame.state,
        ]
        return withJobStrs(texts) { lent in
            var context = ContextTable.template
            context.attempt = frame.attempt
            context.run_id = frame.run.value
            context.fire_time_us = frame.fireTime.microseconds
            context.deadline_us = frame.timeout > .zero ? (Clocks.wall() + frame.timeout).microseconds : 0
            context.fence = frame.fence
            context.idempotency_key = lent[0]
            context.trigger = lent[1]
            context.job = lent[2]
            context.payload = lent[3]
            context.host = host
            // Leads from the plugin's calls to this session and the run's stored state.
            let link = ContextLink(
                session: Unmanaged.passUnretained(self), call: lastCall.load(ordering: .relaxed),
                stored: StoredState(version: frame.stateVersion, bytes: lent[4]))
            return contexts.withContext(context, link, body)
        }
    }

    /// Asks `doctor` by a context without a run: what a run could bring about is refused or dropped.
    /// - Returns: what it returned, and the text it gave to `fail`.
    func diagnose(
        _ frame: DiagnoseFrame, _ doctor: (UnsafePointer<job_context>) -> Int32
    ) -> (code: Int32, text: String) {
        begin(timeout: frame.timeout, run: nil)
        let noRun = RunFrame(
            run: .none, instance: 0, attempt: 1, trigger: .manual, fireTime: Clocks.wall(), timeout: frame.timeout,
            fence: 0, idempotencyKey: "")
        let code = withContext(noRun, job: frame.job, trigger: "doctor", doctor)
        return state.withLock { state in
            defer { state = State() }
            return (code, state.text)
        }
    }

    private func begin(timeout: Duration, run: RunID?) {
        let call = lastCall.wrappingAdd(1, ordering: .releasing).newValue
        deadline.store(
            timeout > .zero ? (Clocks.monotonic() + timeout).microseconds : .max, ordering: .releasing)
        state.withLock {
            $0 = State()
            $0.call = call
            $0.run = run
        }
    }

    func end(code: Int32) -> RunResult {
        state.withLock { state in
            let run = state.run ?? RunID(0)
            var result = RunResult(
                run: run, code: .failed, failCode: state.failCode, text: state.text,
                snoozeUntil: state.snoozeUntil, retryNotBefore: state.retryNotBefore, items: state.items,
                stateOnSuccess: state.stateOnSuccess, stateAlways: state.stateAlways)
            if let known = UInt8(exactly: code).flatMap(ResultCode.init(rawValue:)) {
                result.code = known
            } else if result.text.isEmpty {
                result.text = "run returned \(code), which is no result code"
            }
            if result.code == .snooze, result.snoozeUntil == nil {
                result.code = .failed
                result.text = "run returned JOB_SNOOZE without snooze_until()"
            }
            if let last = state.progress.rest() {
                output.sendSoon(.progress(run: run, done: last.done, total: last.total, text: last.text))
            }
            state = State()
            return result
        }
    }

    // MARK: the plugin's side; any of its threads

    /// Whoever asks for a run that is over is to stop.
    func isCancelled(_ call: UInt64) -> Bool { lastCall.load(ordering: .acquiring) != call || inbox.isCancelled }
    var cancelDescriptor: Int32 { inbox.cancelDescriptor }

    func remainingMilliseconds(_ call: UInt64) -> Int64 {
        guard lastCall.load(ordering: .acquiring) == call else { return 0 }
        let end = deadline.load(ordering: .acquiring)
        guard end != .max else { return .max }
        // Rounded up: 0 means that it has passed.
        return max(0, (end.saturatingSubtract(Clocks.monotonic().microseconds)).saturatingAdd(999) / 1_000)
    }

    func progress(_ call: UInt64, _ done: UInt64, _ total: UInt64, _ text: job_str) {
        let text = Text.clean(text, limit: Text.maximum)
        let now = Clocks.monotonic()
        let due = state.withLock { state in
            state.run(of: call).flatMap { run in
                state.progress.offer(.init(done: done, total: total, text: text), at: now).map { (run, $0) }
            }
        }
        if let (run, value) = due {
            output.send(.progress(run: run, done: value.done, total: value.total, text: value.text))
        }
    }

    func log(_ call: UInt64, _ level: Int32, _ text: job_str, _ fields: job_str) {
        guard let run = run(of: call) else { return }
        let level = UInt8(exactly: level).flatMap(LogLevel.init(rawValue:)) ?? .info
        var kept: Bytes = []
        if fields.size > 0, fields.size <= UInt64(JOB_MAX_FIELDS), let bytes = fields.bytes,
            JSONText.kind(of: bytes) == .object
        {
            kept = Bytes(bytes)
        }
        output.send(.log(run: run, level: level, text: Text.clean(text, limit: Text.maximum), fields: kept))
    }

    func summary(_ call: UInt64, _ text: job_str) {
        let text = Text.clean(text, limit: Text.maximum)
        change(call) { $0.text = text }
    }

    func fail(_ call: UInt64, _ code: Int32, _ text: job_str) {
        let text = Text.clean(text, limit: Text.maximum)
        change(call) {
            $0.failCode = code
            $0.text = text
        }
    }

    func putState(_ call: UInt64, _ version: UInt32, _ bytes: job_str, _ when: Int32) -> Int32 {
        guard version > 0, when == JOB_STATE_ON_SUCCESS || when == JOB_STATE_ALWAYS else { return JOB_E_INVALID }
        guard bytes.size <= UInt64(wireMaxStateBytes) else { return JOB_E_TOO_LARGE }
        guard let copied = bytes.bytes.map(Bytes.init) else { return JOB_E_INVALID }
        let blob = StateBlob(version: version, bytes: copied)
        return state.withLock { state in
            guard state.run(of: call) != nil else { return JOB_E_INVALID }
            if when == JOB_STATE_ALWAYS {
                state.stateAlways = blob
            } else {
                state.stateOnSuccess = blob
            }
            return JOB_OK
        }
    }

    func items(_ call: UInt64, _ count: UInt64) {
        change(call) { state in
            let (sum, overflow) = state.items.addingReportingOverflow(count)
            state.items = overflow ? .max : sum
        }
    }

    func enqueue(_ call: UInt64, _ job: job_str, _ payload: job_str, _ key: job_str, _ at: Int64) -> Int32 {
        guard job.size <= UInt64(JOB_MAX_KEY), key.size <= UInt64(JOB_MAX_KEY),
            payload.size <= UInt64(JOB_MAX_PAYLOAD)
        else { return JOB_E_TOO_LARGE }
        guard let name = Text.exact(job), !name.isEmpty, let key = Text.exact(key), at >= 0,
            let bytes = payload.bytes, bytes.isEmpty || JSONText.kind(of: bytes) != nil
        else { return JOB_E_INVALID }
        guard run(of: call) != nil else { return JOB_E_INVALID }
        let admitted = state.withLock { state -> RunID? in
            guard let run = state.run(of: call), state.enqueues < Int(JOB_MAX_ENQUEUES),
                state.enqueuedBytes + bytes.count <= Int(JOB_MAX_ENQUEUE_BYTES)
            else { return nil }
            state.enqueues += 1
            state.enqueuedBytes += bytes.count
            return run
        }
        guard let admitted else { return JOB_E_LIMIT }
        let request = EnqueueRequest(
            job: name, payload: Bytes(bytes), key: key, at: at == 0 ? nil : Instant(microseconds: at))
        output.sendSoon(.enqueue(run: admitted, request))
        return JOB_OK
    }

    func snooze(_ call: UInt64, until at: Int64) { change(call) { $0.snoozeUntil = Instant(microseconds: at) } }
    func retry(_ call: UInt64, notBefore at: Int64) { change(call) { $0.retryNotBefore = Instant(microseconds: at) } }

    func metric(
        _ call: UInt64, _ kind: MetricSample.Kind, _ name: job_str, _ labels: UnsafePointer<job_str>?, _ count: UInt32,
        _ value: Double
    ) -> Int32 {
        guard let run = run(of: call), value.isFinite, count <= 8, count == 0 || labels != nil else { return JOB_E_INVALID }
        if kind == .counter, value < 0 { return JOB_E_INVALID }
        let limit = UInt64(JOB_MAX_ID)
        guard name.size <= limit else { return JOB_E_TOO_LARGE }
        guard let name = Text.exact(name), MetricName.isValid(name) else { return JOB_E_INVALID }
        var pairs: [String: String] = [:]
        for index in 0 ..< Int(count) {
            guard let labels else { return JOB_E_INVALID }
            let (label, text) = (labels[2 * index], labels[2 * index + 1])
            guard label.size <= limit, text.size <= limit else { return JOB_E_TOO_LARGE }
            guard let label = Text.exact(label), MetricName.isValid(label), let text = Text.exact(text),
                pairs.updateValue(text, forKey: label) == nil
            else { return JOB_E_INVALID }
        }
        output.sendSoon(.metric(run: run, MetricSample(kind: kind, name: name, labels: pairs, value: value)))
        return JOB_OK
    }

    private func run(of call: UInt64) -> RunID? { state.withLock { $0.run(of: call) } }

    private func change(_ call: UInt64, _ body: (inout State) -> Void) {
        state.withLock { if $0.call == call { body(&$0) } }
    }
}

/// Lets at most 20 reports a second through and keeps the last one that had to wait.
struct ProgressGate {
    struct Report {
        var done: UInt64
        var total: UInt64
        var text: String
    }
    private static let spacing = Duration.milliseconds(50)
    private var lastSent: MonotonicInstant?
    private var waiting: Report?

    /// What to send now, if anything.
    mutating func offer(_ report: Report, at now: MonotonicInstant) -> Report? {
        if let lastSent, now - lastSent < ProgressGate.spacing {
            waiting = report
            return nil
        }
        lastSent = now
        waiting = nil
        return report
    }

    /// At the end of the run: the last report, unless it has been sent.
    mutating func rest() -> Report? {
        defer { waiting = nil }
        return waiting
    }
}

enum MetricName {
    /// [a-zA-Z_][a-zA-Z0-9_]*
    static func isValid(_ name: String) -> Bool {
        guard let first = name.utf8.first, !isDigit(first) else { return false }
        return name.utf8.allSatisfy { isDigit($0) || isLetter($0) || $0 == UInt8(ascii: "_") }
    }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    private static func isLetter(_ byte: UInt8) -> Bool {
        let lower = byte | 0x20
        return lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z")
    }
}
