import JobConfig
import JobCore
import JobJSON

/// What the command line needs of the supervisor in its own process: everything that does not
/// go to a running host over the socket.
public struct HostOperations: Sendable {
    /// Serves in the foreground until it is stopped; the process's exit code.
    public var run: @Sendable (_ config: String) async -> Int32
    /// The config as a start or reload would see it, libraries probed; changes nothing.
    public var check: @Sendable (_ config: String) async -> ReloadReport
    /// One run in the foreground, without a host: no ledger, no schedule, no breaker. `onLine`
    /// gets what it prints, as it prints it. Throws `CommandError` or `ConfigErrors`.
    public var execute: @Sendable (_ request: ExecutionRequest, _ onLine: @escaping @Sendable (API.LogLine) -> Void) async throws -> API.Execution
    /// Throws `CommandError` for a job that is not there.
    public var doctor: @Sendable (DoctorRequest) async throws -> [Doctor.Finding]
    /// Throws `CommandError` for a job that is not there, `ConfigErrors`.
    public var schema: @Sendable (SchemaInquiry) async throws -> [API.SchemaAnswer]
    public var store: StoreOperations
    /// Loads a library in a throwaway worker. Throws `CommandError`.
    public var inspect: @Sendable (_ file: String) async throws -> API.Inspection
    /// The time zones of this machine.
    public var zones: any ZoneSource
    public var version: String

    public init(
        run: @escaping @Sendable (_ config: String) async -> Int32,
        check: @escaping @Sendable (_ config: String) async -> ReloadReport,
        execute: @escaping @Sendable (
            _ request: ExecutionRequest, _ onLine: @escaping @Sendable (API.LogLine) -> Void
        ) async throws -> API.Execution,
        doctor: @escaping @Sendable (DoctorRequest) async throws -> [Doctor.Finding],
        schema: @escaping @Sendable (SchemaInquiry) async throws -> [API.SchemaAnswer],
        store: StoreOperations,
        inspect: @escaping @Sendable (_ file: String) async throws -> API.Inspection,
        zones: any ZoneSource, version: String
    ) {
        self.run = run
        self.check = check
        self.execute = execute
        self.doctor = doctor
        self.schema = schema
        self.store = store
        self.inspect = inspect
        self.zones = zones
        self.version = version
    }
}

/// `jobhost doctor`.
public struct DoctorRequest: Equatable, Sendable {
    public var config: String
    /// nil: machine and config as a whole, no plugin's own checks.
    public var job: String?
    /// For the plugin's own checks, positive.
    public var timeout: Duration
    public init(config: String, job: String? = nil, timeout: Duration = .seconds(30)) {
        self.config = config
        self.job = job
        self.timeout = timeout
    }
}

/// `jobhost exec`.
public struct ExecutionRequest: Equatable, Sendable {
    public var config: String
    public var job: String
    /// Over the job's settings, in order; `key` may be a path ("limits.max"). The value is JSON
    /// where it parses as JSON, else a string.
    public var settings: [(key: String, value: JSON)]
    /// JSON; nil: none.
    public var payload: [UInt8]?
    public init(config: String, job: String, settings: [(key: String, value: JSON)] = [], payload: [UInt8]? = nil) {
        self.config = config
        self.job = job
        self.settings = settings
        self.payload = payload
    }
    public static func == (a: Self, b: Self) -> Bool {
        a.config == b.config && a.job == b.job && a.payload == b.payload
            && a.settings.elementsEqual(b.settings) { $0.key == $1.key && $0.value == $1.value }
    }
}

extension API {
    /// What `jobhost exec --json` prints.
    public struct Execution: Codable, Sendable {
        public var job: String
        public var outcome: Outcome
        public var reason: String
        public var code: Int32
        public var items: UInt64
        public var durationUs: Int64
        public init(job: String, outcome: Outcome, reason: String, code: Int32, items: UInt64, durationUs: Int64) {
            self.job = job
            self.outcome = outcome
            self.reason = reason
            self.code = code
            self.items = items
            self.durationUs = durationUs
        }
    }

    /// What `jobhost plugin inspect --json` prints.
    public struct Inspection: Codable, Sendable {
        public var file: String
        public var sha256: String
        public var id: String
        public var version: String
        public var description: String
        public var abi: UInt32
        public var entries: [Entry]

        public struct Entry: Codable, Sendable {
            public var id: String
            public var description: String
            public var idempotent: Bool
            public var cancellable: Bool
            public var defaultSchedule: String
            public var settingsSchema: JSON
            public var payloadSchema: JSON
            public var stateVersion: UInt32
        }

        public init(file: String, sha256: String, descriptor: PluginDescriptor) {
            self.file = file
            self.sha256 = sha256
            id = descriptor.id
            version = descriptor.version
            description = descriptor.description
            abi = descriptor.abi
            entries = descriptor.entries.map { entry in
                Entry(
                    id: entry.id, description: entry.description, idempotent: entry.idempotent,
                    cancellable: entry.cancellable, defaultSchedule: entry.defaultSchedule,
                    settingsSchema: rawJSON(entry.settingsSchema), payloadSchema: rawJSON(entry.payloadSchema),
                    stateVersion: entry.stateVersion)
            }
        }
    }

    /// What `jobhost doctor --json` prints.
    struct Diagnosis: Codable, Sendable {
        /// ok, warn, fail: the worst of the findings.
        var level: Doctor.Level
        var findings: [Doctor.Finding]
    }
}
