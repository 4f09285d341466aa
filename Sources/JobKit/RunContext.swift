import JobABI
import JobJSON

/// One run, as the plugin sees it. Valid until `run` returns; until then it may be used from
/// any thread, which is why it is Sendable.
public struct RunContext: @unchecked Sendable {
    let raw: UnsafePointer<job_context>
    /// Written with the state unless the call says otherwise.
    let stateVersion: UInt32

    /// For tests and hosts of one's own; JobKit makes the ones that `run` gets.
    public init(_ raw: UnsafePointer<job_context>, stateVersion: UInt32 = 1) {
        self.raw = raw
        self.stateVersion = max(1, stateVersion)
    }

    // MARK: Who am I

    /// Positive, unique in this host's ledger.
    public var runID: Int64 { raw.pointee.run_id }
    /// The job's name in the config.
    public var job: String { String(raw.pointee.job) }
    /// One try of the run, from 1.
    public var attempt: Int { Int(raw.pointee.attempt) }
    public var trigger: RunTrigger { RunTrigger(rawValue: String(raw.pointee.trigger)) }
    /// The nominal instant, microseconds since 1970 UTC; compute periods from this, not from
    /// the clock.
    public var fireTimeMicroseconds: Int64 { raw.pointee.fire_time_us }
    /// Rises with every attempt in the whole installation; written beside external effects it
    /// lets the receiver refuse an attempt that was given up.
    public var fence: Int64 { raw.pointee.fence }
    /// The same for every retry of one cause: for guarding effects that must happen once.
    public var idempotencyKey: String { String(raw.pointee.idempotency_key) }
    public var payload: Payload { Payload(bytes: [UInt8](raw.pointee.payload)) }

    // MARK: When to stop

    /// True once the run is to stop: its time is up, an operator cancelled it, the host is
    /// stopping. Cheap: ask between items.
    public var isCancelled: Bool { raw.pointee.is_cancelled(raw) != 0 }
    /// Throws `CancellationNotice` once `isCancelled`.
    public func checkCancellation() throws {
        if isCancelled { throw CancellationNotice() }
    }
    /// Becomes readable when `isCancelled` becomes true: for `poll` beside a socket. The
    /// host's: neither read nor close it. nil: the process has run out of descriptors.
    public var cancelFD: Int32? {
        let descriptor = raw.pointee.cancel_fd(raw)
        return descriptor < 0 ? nil : descriptor
    }
    /// Time until the run is asked to stop; zero once that has passed; nil: no limit.
    public var remaining: Duration? {
        let milliseconds = raw.pointee.remaining_ms(raw)
        return milliseconds == .max ? nil : .milliseconds(milliseconds)
    }

    // MARK: What is happening

    /// How far the run is. Also the sign of life that a job's `heartbeat` waits for.
    public func progress(done: Int, total: Int = 0, _ text: String = "") {
        text.withJobStr { raw.pointee.progress(raw, UInt64(clamping: done), UInt64(clamping: total), $0) }
    }
    /// Adds to the number of items this run has worked on.
    public func items(_ count: Int) { raw.pointee.items(raw, UInt64(clamping: count)) }
    public var log: RunLog { RunLog(raw: raw) }
    public var metrics: RunMetrics { RunMetrics(raw: raw) }

    // MARK: What stays

    /// The job's state as it was when this run began; nil: none yet.
    public var rawState: StateValue? {
        var version: UInt32 = 0
        var bytes = job_str()
        guard raw.pointee.state_get(raw, &version, &bytes) == 1 else { return nil }
        return StateValue(version: version, bytes: [UInt8](bytes))
    }
    /// The job's state, decoded from JSON; nil: none yet. Throws when it does not fit; older
    /// versions are told apart by `rawState?.version`.
    public func state<T: Decodable>(as type: T.Type = T.self) throws -> T? {
        guard let rawState else { return nil }
        do {
            return try JSON(parsing: rawState.bytes, limits: .wide).decode(type)
        } catch {
            throw JobFailure.permanent("the job's state (version \(rawState.version)) cannot be read: \(describe(error))")
        }
    }
    /// Replaces the job's state when the outcome is recorded. At most 256 KiB.
    /// - Parameter version: the entry's `stateVersion` unless given.
    public func putState(_ value: some Encodable, version: UInt32? = nil, when: StateMoment = .onSuccess) throws {
        try putState(bytes: JSON(encoding: value).bytes, version: version, when: when)
    }
    public func putState(bytes: [UInt8], version: UInt32? = nil, when: StateMoment = .onSuccess) throws {
        let code = bytes.withJobStr {
            raw.pointee.state_put(raw, version ?? stateVersion, $0, when.code)
        }
        try check(code, "state of \(bytes.count) bytes")
    }

    // MARK: What follows

    /// Asks for a run of another job (or of this one), committed together with this run's
    /// outcome if that is a success.
    /// - Parameters:
    ///   - key: while a run with this key is live in that job, no second one is made.
    ///   - at: not before this instant, microseconds since 1970 UTC; nil: at once.
    public func enqueue(job: String, payload: some Encodable, key: String = "", at: Int64? = nil) throws {
        try enqueue(job: job, json: JSON(encoding: payload).bytes, key: key, at: at)
    }
    public func enqueue(job: String, json: [UInt8] = [], key: String = "", at: Int64? = nil) throws {
        let code = job.withJobStr { job in
            json.withJobStr { payload in
                key.withJobStr { raw.pointee.enqueue(raw, job, payload, $0, at ?? 0) }
            }
        }
        try check(code, "enqueue to '\(job)'")
    }

    private func check(_ code: Int32, _ what: String) throws {
        switch code {
        case JOB_OK: return
        case JOB_E_TOO_LARGE: throw JobFailure.permanent("\(what): larger than the host allows")
        case JOB_E_LIMIT: throw JobFailure.permanent("\(what): too many in one run")
        default: throw JobFailure.permanent("\(what): refused by the host (\(code))")
        }
    }
}

/// Why a run exists. Open: later hosts may have more.
public struct RunTrigger: RawRepresentable, Hashable, Sendable {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let schedule = RunTrigger(rawValue: "schedule")
    public static let catchUp = RunTrigger(rawValue: "catch_up")
    public static let manual = RunTrigger(rawValue: "manual")
    public static let enqueued = RunTrigger(rawValue: "enqueued")
    public static let backfill = RunTrigger(rawValue: "backfill")
    public static let retryOf = RunTrigger(rawValue: "retry_of")
    public static let start = RunTrigger(rawValue: "start")
    public static let after = RunTrigger(rawValue: "after")
}

/// What an enqueued run carries: JSON, or nothing.
public struct Payload: Hashable, Sendable {
    public var bytes: [UInt8]
    public var isEmpty: Bool { bytes.isEmpty }
    public init(bytes: [UInt8]) { self.bytes = bytes }
    /// Throws `JobFailure.permanent` with the place when it does not fit: a payload does not
    /// get better by trying again.
    public func decode<T: Decodable>(_ type: T.Type = T.self) throws -> T {
        guard !isEmpty else { throw JobFailure.permanent("the run has no payload") }
        do {
            return try JSON(parsing: bytes, limits: .wide).decode(type)
        } catch {
            throw JobFailure.permanent("payload: \(describe(error))")
        }
    }
}

public struct StateValue: Hashable, Sendable {
    public var version: UInt32
    public var bytes: [UInt8]
    public init(version: UInt32, bytes: [UInt8]) {
        self.version = version
        self.bytes = bytes
    }
}

/// When a state takes effect.
public enum StateMoment: Hashable, Sendable {
    /// When the run succeeds or finds nothing to do.
    case onSuccess
    /// Whatever the outcome: for breakers and limits that a plugin keeps.
    case always
    var code: Int32 { self == .always ? JOB_STATE_ALWAYS : JOB_STATE_ON_SUCCESS }
}

/// The run's log: one line, and fields that machines can search.
public struct RunLog: @unchecked Sendable {
    let raw: UnsafePointer<job_context>

    public func debug(_ text: String, fields: [String: LogValue] = [:]) { write(JOB_LOG_DEBUG, text, fields) }
    public func info(_ text: String, fields: [String: LogValue] = [:]) { write(JOB_LOG_INFO, text, fields) }
    public func warning(_ text: String, fields: [String: LogValue] = [:]) { write(JOB_LOG_WARNING, text, fields) }
    public func error(_ text: String, fields: [String: LogValue] = [:]) { write(JOB_LOG_ERROR, text, fields) }
    public func critical(_ text: String, fields: [String: LogValue] = [:]) { write(JOB_LOG_CRITICAL, text, fields) }

    private func write(_ level: Int32, _ text: String, _ fields: [String: LogValue]) {
        let json = fields.isEmpty ? [] : LogValue.object(fields)
        text.withJobStr { text in
            json.withJobStr { raw.pointee.log(raw, level, text, $0) }
        }
    }
}

/// A value of a log field.
public enum LogValue: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral
{
    case string(String), int(Int64), double(Double), bool(Bool)
    public static func int(_ value: Int) -> LogValue { .int(Int64(value)) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }

    var json: JSON {
        switch self {
        case .string(let text): .string(text)
        case .int(let number): .number(String(number))
        case .double(let number): JSON(number)
        case .bool(let flag): .bool(flag)
        }
    }
    static func object(_ fields: [String: LogValue]) -> [UInt8] {
        // Sorted, so that equal calls give equal lines.
        JSON.object(JSONObject(fields.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) })).bytes
    }
}

/// Numbers for the host's metrics page; a host without it ignores them.
public struct RunMetrics: @unchecked Sendable {
    let raw: UnsafePointer<job_context>
    typealias Sink = @convention(c) (
        UnsafePointer<job_context>?, job_str, UnsafePointer<job_str>?, UInt32, Double
    ) -> Int32

    /// Adds `delta` ≥ 0.
    public func counter(_ name: String, _ delta: Double = 1, labels: [String: String] = [:]) {
        send(extensionTable?.pointee.counter, name, labels, delta)
    }
    /// Sets.
    public func gauge(_ name: String, _ value: Double, labels: [String: String] = [:]) {
        send(extensionTable?.pointee.gauge, name, labels, value)
    }
    /// Observes one value.
    public func histogram(_ name: String, _ value: Double, labels: [String: String] = [:]) {
        send(extensionTable?.pointee.histogram, name, labels, value)
    }

    private var extensionTable: UnsafePointer<job_metrics>? {
        guard let host = raw.pointee.host else { return nil }
        return JOB_EXT_METRICS.withJobStr {
            host.pointee.get_extension(host, $0)?.assumingMemoryBound(to: job_metrics.self)
        }
    }
    private func send(_ sink: Sink?, _ name: String, _ labels: [String: String], _ value: Double) {
        guard let sink else { return }
        let texts = labels.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] }
        name.withJobStr { name in
            withJobStrs(texts) { pairs in
                _ = sink(raw, name, pairs.baseAddress, UInt32(pairs.count / 2), value)
            }
        }
    }
}
