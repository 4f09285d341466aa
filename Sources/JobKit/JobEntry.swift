// Plugins import JobKit alone and have `JSON`.
@_exported import JobJSON

/// What one can run of a plugin: a class with typed settings, one instance for each job and
/// settings in a worker.
///
/// The host calls everything here on one thread, one call at a time. Workers come and go:
/// nothing an instance holds is promised to be there at the next run; what must survive
/// belongs into a database or into the run's state.
public protocol JobEntry: AnyObject {
    associatedtype Settings: JobSettings

    static var info: EntryInfo { get }

    /// Looks at settings that already fit their types, ranges and names: rules between several
    /// of them. Has no effects and reaches out to nothing; throws what a human should read.
    static func validate(_ settings: Settings) throws

    /// Called before the first run. `JobFailure.badSettings` disables the job until the next
    /// reload, `.transient` is tried again with the next attempt, anything else fails the run.
    init(settings: Settings) throws

    /// Does the work. `JobFailure.transient` counts as retry, `.badSettings` disables the job,
    /// `CancellationNotice` counts as cancelled, every other error as failed.
    func run(_ context: RunContext) throws -> RunOutcome

    /// For `jobhost doctor JOB`: looks at what one would look at by hand when the job does not do
    /// what it should, and tells it to `check`. Has no effects, and may be asked at any time, beside
    /// runs in other workers. An error that is thrown is a finding too.
    func doctor(_ check: DoctorContext) throws
}

extension JobEntry {
    public static func validate(_ settings: Settings) throws {}
    public func doctor(_ check: DoctorContext) throws {}
}

/// Settings of an entry: a struct whose properties have defaults. Missing keys take them,
/// unknown keys are refused; the JSON Schema follows from the types and the defaults.
public protocol JobSettings: Codable, Sendable {
    /// The defaults.
    init()
    /// What types cannot say: descriptions, ranges, allowed values. Optional.
    static var fields: [SettingsField] { get }
}

extension JobSettings {
    public static var fields: [SettingsField] { [] }
}

/// For entries that have nothing to set.
public struct NoSettings: JobSettings {
    public init() {}
}

/// What is known of an entry before it runs.
public struct EntryInfo: Sendable {
    /// `[a-z0-9][a-z0-9_-]*`, at most 64 bytes, unique in the plugin.
    public var id: String
    /// One sentence.
    public var description: String
    /// Running it twice does no harm: crashed, timed-out and lost attempts may be retried.
    public var idempotent: Bool
    /// `run` looks at `isCancelled` or `cancelFD`.
    public var cancellable: Bool
    /// "every 10s", "cron 0 * * * * *"; "": the config says when.
    public var defaultSchedule: String
    /// The version of the state blob it writes; 0: keeps none.
    public var stateVersion: UInt32
    /// JSON Schema; "": any payload. `JSONSchema.text(of: MyPayload.self)` derives one.
    public var payloadSchema: String

    public init(
        id: String, description: String, idempotent: Bool = false, cancellable: Bool = true,
        defaultSchedule: String = "", stateVersion: UInt32 = 0, payloadSchema: String = ""
    ) {
        self.id = id
        self.description = description
        self.idempotent = idempotent
        self.cancellable = cancellable
        self.defaultSchedule = defaultSchedule
        self.stateVersion = stateVersion
        self.payloadSchema = payloadSchema
    }
}

/// How a run ended, in the plugin's words.
public enum RunOutcome: Hashable, Sendable {
    /// With one sentence for the ledger: "Checked 5 deposits: 3 updated".
    case succeeded(String? = nil)
    /// A success that found nothing to do, and why: "0 active pairs".
    case nothingToDo(String)
    /// Run again then (microseconds since 1970 UTC); costs no attempt.
    case snooze(until: Int64, String = "")
    /// Stopped early because the context said so.
    case cancelled(String = "")
    /// For good: trying again would fail again.
    case failed(String, code: Int32 = 0)
    /// Trying again may help; not before this instant (microseconds since 1970 UTC).
    case retry(String, notBefore: Int64? = nil, code: Int32 = 0)
}

/// An error whose meaning for the run is decided where it is thrown.
public struct JobFailure: Error, Hashable, CustomStringConvertible, Sendable {
    public enum Kind: Hashable, Sendable { case permanent, transient, badSettings }
    public var kind: Kind
    /// One sentence for a human.
    public var text: String
    /// The plugin's own number for it; 0: none.
    public var code: Int32
    /// For transient failures: microseconds since 1970 UTC.
    public var notBefore: Int64?

    /// Trying again would fail again.
    public static func permanent(_ text: String, code: Int32 = 0) -> JobFailure {
        JobFailure(kind: .permanent, text: text, code: code, notBefore: nil)
    }
    /// Trying again may help: a peer is down, a lock was busy.
    public static func transient(_ text: String, code: Int32 = 0, notBefore: Int64? = nil) -> JobFailure {
        JobFailure(kind: .transient, text: text, code: code, notBefore: notBefore)
    }
    /// These settings can never work.
    public static func badSettings(_ text: String) -> JobFailure {
        JobFailure(kind: .badSettings, text: text, code: 0, notBefore: nil)
    }
    public var description: String { text }
}

/// Thrown by `RunContext.checkCancellation()`.
public struct CancellationNotice: Error, Hashable, Sendable, CustomStringConvertible {
    public init() {}
    public var description: String { "cancelled" }
}
