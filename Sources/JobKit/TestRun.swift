import JobABI

/// Runs an entry without a host: for the tests of a plugin. It goes through the same C
/// boundary as in a worker, and keeps everything the run said.
///
/// ```swift
/// let test = TestRun(settings: #"{"batch": 10}"#)
/// #expect(test.run(Candles.self) == .succeeded)
/// #expect(test.text == "3 candles")
/// ```
public final class TestRun {
    public enum Code: Int32, Sendable {
        case succeeded = 0, nothingToDo, retry, failed, snooze, cancelled, badSettings
    }
    public struct LogLine: Hashable, Sendable {
        public var level: Int32
        public var text: String
        public var fields: String
    }
    public struct Enqueued: Hashable, Sendable {
        public var job: String
        public var payload: String
        public var key: String
        public var at: Int64
    }
    public struct Sample: Hashable, Sendable {
        public var kind: String
        public var name: String
        public var labels: [String: String]
        public var value: Double
    }

    public struct Finding: Hashable, Sendable {
        public var level: DoctorContext.Level
        public var subject: String
        public var text: String
        public init(_ level: DoctorContext.Level, _ subject: String, _ text: String) {
            self.level = level
            self.subject = subject
            self.text = text
        }
    }

    // What the run is given.
    public var settings: String
    public var payload: String
    public var job = "test"
    public var runID: Int64 = 1
    public var attempt: UInt32 = 1
    public var trigger = RunTrigger.manual
    public var fireTimeMicroseconds: Int64 = 0
    public var fence: Int64 = 1
    public var idempotencyKey = "test:1"
    public var remainingMilliseconds: Int64 = .max
    /// Asked by `isCancelled`; set it from a closure in a test's double to cancel midway.
    public var isCancelled = false
    public var state: StateValue?

    // What it said. Collected over all runs of this object.
    public private(set) var log: [LogLine] = []
    /// Of `doctor`.
    public private(set) var findings: [Finding] = []
    public private(set) var enqueued: [Enqueued] = []
    public private(set) var samples: [Sample] = []
    public private(set) var progress: [(done: UInt64, total: UInt64, text: String)] = []
    public private(set) var items: UInt64 = 0
    /// The ledger's sentence: of `summary` or `fail`, whichever came last.
    public private(set) var text = ""
    public private(set) var failCode: Int32 = 0
    public private(set) var snoozeUntil: Int64?
    public private(set) var notBefore: Int64?
    public private(set) var stateOnSuccess: StateValue?
    public private(set) var stateAlways: StateValue?

    public init(settings: String = "{}", payload: String = "") {
        self.settings = settings
        self.payload = payload
    }

    /// Creates an instance, runs it once, destroys it. A refusal by `create` is its code,
    /// with the reason in `text`.
    public func run<E: JobEntry>(_ entry: E.Type) -> Code {
        onInstance(of: entry) { plugin, instance in withContext { plugin.run(instance, $0) } }
    }

    /// Creates an instance, lets its doctor look once, destroys it: what it found. A doctor that
    /// gives up leaves the reason in `text` and its code as the answer.
    public func doctor<E: JobEntry>(_ entry: E.Type) -> Code {
        onInstance(of: entry) { plugin, instance in
            withFindings { plugin.doctor(instance, $0, $1) }
        }
    }

    /// As `doctor`, with a question of `jobhost schema`; `.failed` where the entry needs no tables.
    public func schema<E: JobEntry>(_ entry: E.Type, _ request: SchemaRequest) -> Code {
        onInstance(of: entry) { plugin, instance in
            guard let schema = plugin.schema, let text = try? JSON(encoding: request).text else { return JOB_FAILED }
            return withFindings { context, findings in text.withJobStr { schema(instance, context, $0, findings) } }
        }
    }

    private func withFindings(_ body: (UnsafePointer<job_context>, UnsafePointer<job_findings>) -> Int32) -> Int32 {
        withContext { context in
            var findings = job_findings()
            findings.struct_size = UInt32(MemoryLayout<job_findings>.size)
            findings.host_data = me
            findings.add = { findings, level, subject, text in
                TestRun.of(findings?.pointee.host_data)?.findings.append(
                    Finding(DoctorContext.Level(rawValue: level) ?? .error, String(subject), String(text)))
            }
            return body(context, &findings)
        }
    }

    private func onInstance<E: JobEntry>(
        of entry: E.Type, _ body: (job_entry, UnsafeMutableRawPointer?) -> Int32
    ) -> Code {
        let plugin = JobPlugin.descriptor(of: entry)
        var instance: UnsafeMutableRawPointer?
        let created = withHost { host in
            withError { error in
                settings.withJobStr { plugin.pointee.create(plugin, host, $0, error, &instance) }
            }
        }
        guard created == JOB_SUCCEEDED else { return Code(rawValue: created) ?? .failed }
        defer { plugin.pointee.destroy(instance) }
        return Code(rawValue: body(plugin.pointee, instance)) ?? .failed
    }

    /// Asks the entry about the settings; nil: accepted.
    public func validate<E: JobEntry>(_ entry: E.Type) -> String? {
        let plugin = JobPlugin.descriptor(of: entry)
        text = ""
        let code = withError { error in settings.withJobStr { plugin.pointee.validate(plugin, $0, error) } }
        return code == JOB_SUCCEEDED ? nil : text
    }

    private var me: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    private func withError<R>(_ body: (UnsafePointer<job_error>) -> R) -> R {
        var error = job_error()
        error.struct_size = UInt32(MemoryLayout<job_error>.size)
        error.host_data = me
        error.set = { error, reason in TestRun.of(error?.pointee.host_data)?.text = String(reason) }
        return withUnsafePointer(to: error, body)
    }

    private func withHost<R>(_ body: (UnsafePointer<job_host>) -> R) -> R {
        var host = job_host()
        host.struct_size = UInt32(MemoryLayout<job_host>.size)
        host.host_data = me
        host.get_extension = { _, id in
            String(id) == JOB_EXT_METRICS ? UnsafeRawPointer(TestRun.metricsTable) : nil
        }
        return withUnsafePointer(to: host, body)
    }

    private func withContext<R>(_ body: (UnsafePointer<job_context>) -> R) -> R {
        withHost { host in
            withJobStrs([job, trigger.rawValue, idempotencyKey, payload]) { texts in
                var context = job_context()
                context.struct_size = UInt32(MemoryLayout<job_context>.size)
                context.attempt = attempt
                context.run_id = runID
                context.fire_time_us = fireTimeMicroseconds
                context.fence = fence
                context.job = texts[0]
                context.trigger = texts[1]
                context.idempotency_key = texts[2]
                context.payload = texts[3]
                context.host = host
                context.host_data = me
                Self.fill(&context)
                return withUnsafePointer(to: context, body)
            }
        }
    }

    private static func of(_ data: UnsafeMutableRawPointer?) -> TestRun? {
        data.map { Unmanaged<TestRun>.fromOpaque($0).takeUnretainedValue() }
    }
    private static func of(_ context: UnsafePointer<job_context>?) -> TestRun? { of(context?.pointee.host_data) }

    private static func fill(_ context: inout job_context) {
        context.is_cancelled = { TestRun.of($0)?.isCancelled == true ? 1 : 0 }
        context.cancel_fd = { _ in -1 }
        context.remaining_ms = { TestRun.of($0)?.remainingMilliseconds ?? .max }
        context.progress = { TestRun.of($0)?.progress.append(($1, $2, String($3))) }
        context.log = { TestRun.of($0)?.log.append(LogLine(level: $1, text: String($2), fields: String($3))) }
        context.summary = { TestRun.of($0)?.text = String($1) }
        context.fail = { context, code, text in
            TestRun.of(context)?.failCode = code
            TestRun.of(context)?.text = String(text)
        }
        context.items = { context, count in TestRun.of(context)?.items += count }
        context.snooze_until = { TestRun.of($0)?.snoozeUntil = $1 }
        context.retry_not_before = { TestRun.of($0)?.notBefore = $1 }
        context.enqueue = { context, job, payload, key, at in
            TestRun.of(context)?.enqueued.append(
                Enqueued(job: String(job), payload: String(payload), key: String(key), at: at))
            return JOB_OK
        }
        context.state_get = { context, version, bytes in
            guard let state = TestRun.of(context)?.borrowedState() else { return 0 }
            version?.pointee = state.version
            bytes?.pointee = state.bytes
            return 1
        }
        context.state_put = { context, version, bytes, when in
            guard bytes.size <= UInt64(JOB_MAX_STATE) else { return JOB_E_TOO_LARGE }
            let value = StateValue(version: version, bytes: [UInt8](bytes))
            if when == JOB_STATE_ALWAYS {
                TestRun.of(context)?.stateAlways = value
            } else {
                TestRun.of(context)?.stateOnSuccess = value
            }
            return JOB_OK
        }
    }

    private var lentState: UnsafeMutableRawBufferPointer?
    private func borrowedState() -> (version: UInt32, bytes: job_str)? {
        guard let state else { return nil }
        lentState?.deallocate()
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, state.bytes.count), alignment: 1)
        copy.copyBytes(from: state.bytes)
        lentState = copy
        let data = UnsafeRawPointer(copy.baseAddress)?.assumingMemoryBound(to: CChar.self)
        return (state.version, job_str(data: data, size: UInt64(state.bytes.count)))
    }
    deinit { lentState?.deallocate() }

    nonisolated(unsafe) private static let metricsTable: UnsafePointer<job_metrics> = {
        let table = UnsafeMutablePointer<job_metrics>.allocate(capacity: 1)
        table.initialize(to: job_metrics())
        table.pointee.struct_size = UInt32(MemoryLayout<job_metrics>.size)
        table.pointee.counter = { TestRun.of($0)?.keep("counter", $1, $2, $3, $4) ?? JOB_E_INVALID }
        table.pointee.gauge = { TestRun.of($0)?.keep("gauge", $1, $2, $3, $4) ?? JOB_E_INVALID }
        table.pointee.histogram = { TestRun.of($0)?.keep("histogram", $1, $2, $3, $4) ?? JOB_E_INVALID }
        return UnsafePointer(table)
    }()

    private func keep(
        _ kind: String, _ name: job_str, _ labels: UnsafePointer<job_str>?, _ count: UInt32, _ value: Double
    ) -> Int32 {
        let pairs = (0 ..< Int(count)).compactMap { index in
            labels.map { (String($0[2 * index]), String($0[2 * index + 1])) }
        }
        samples.append(
            Sample(kind: kind, name: String(name), labels: Dictionary(pairs) { $1 }, value: value))
        return JOB_OK
    }
}
