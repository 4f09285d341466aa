import JobCore
import JobStore

/// What `jobhost store …` does, in its own process, beside hosts or without any. Each throws `CommandError` or
/// `ConfigErrors`.
public struct StoreOperations: Sendable {
    public var move: @Sendable (StoreMoveRequest) async throws -> API.StoreMoved
    public var check: @Sendable (StoreSource) async throws -> API.StoreChecked
    /// `goOn` is asked after each batch, on a thread of the store.
    public var prune: @Sendable (_ request: StorePruneRequest, _ goOn: @escaping @Sendable () -> Bool) async throws -> API.StorePruned
    /// `write` gets the lines, on a thread of the store; what it throws ends the export and comes out again.
    public var export: @Sendable (
        _ source: StoreSource, _ request: StoreExport.Request, _ write: @escaping @Sendable ([UInt8]) throws -> Void
    ) async throws -> [API.StoreTable]

    public init(
        move: @escaping @Sendable (StoreMoveRequest) async throws -> API.StoreMoved,
        check: @escaping @Sendable (StoreSource) async throws -> API.StoreChecked,
        prune: @escaping @Sendable (StorePruneRequest, @escaping @Sendable () -> Bool) async throws -> API.StorePruned,
        export: @escaping @Sendable (
            StoreSource, StoreExport.Request, @escaping @Sendable ([UInt8]) throws -> Void
        ) async throws -> [API.StoreTable]
    ) {
        self.move = move
        self.check = check
        self.prune = prune
        self.export = export
    }
}

/// Which store is meant.
public enum StoreSource: Equatable, Sendable {
    /// That of this config.
    case config(String)
    /// "sqlite:" and a path, or a URL of PostgreSQL.
    case url(String, schema: String)
}

/// `jobhost store migrate`.
public struct StoreMoveRequest: Equatable, Sendable {
    public var config: String
    /// The SQLite file.
    public var file: String
    /// nil: the config's store.
    public var to: String?
    public init(config: String, file: String, to: String? = nil) {
        self.config = config
        self.file = file
        self.to = to
    }
}

/// `jobhost store prune`.
public struct StorePruneRequest: Equatable, Sendable {
    public var config: String
    /// Only of this job.
    public var job: String?
    /// nil: by the config's retention.
    public var olderThan: Duration?
    public var isDryRun: Bool
    public init(config: String, job: String? = nil, olderThan: Duration? = nil, isDryRun: Bool = false) {
        self.config = config
        self.job = job
        self.olderThan = olderThan
        self.isDryRun = isDryRun
    }
}

extension API {
    /// Rows of a table that were moved or written.
    public struct StoreTable: Codable, Equatable, Sendable {
        public var table: String
        public var rows: Int64
        public init(table: String, rows: Int64) {
            self.table = table
            self.rows = rows
        }
    }

    /// What `jobhost store migrate --json` prints.
    public struct StoreMoved: Codable, Sendable {
        /// Without a password.
        public var place: String
        public var tables: [StoreTable]
        public init(place: String, tables: [StoreTable]) {
            self.place = place
            self.tables = tables
        }
    }

    /// What `jobhost store check --json` prints.
    public struct StoreChecked: Codable, Sendable {
        /// Without a password.
        public var place: String
        public var format: Int64
        /// Of the host that serves a SQLite file; nil: none does, or it is PostgreSQL.
        public var hostPid: Int32?
        /// The worst of the findings.
        public var level: StoreCheck.Level
        public var findings: [StoreCheck.Finding]
        public init(place: String, hostPid: Int32?, _ report: StoreCheck.Report) {
            self.place = place
            self.hostPid = hostPid
            format = report.format.version
            level = report.level
            findings = report.findings
        }
    }

    /// What `jobhost store prune --json` prints.
    public struct StorePruned: Codable, Sendable {
        /// Without a password.
        public var place: String
        public var dryRun: Bool
        public var jobs: [Share]
        /// Runs that stay since other living hosts have their logs.
        public var ofOtherHosts: Int64
        /// Ended runs of jobs that the config does not have, by job: they stay.
        public var notInConfig: [String: Int64]
        /// Bytes of the file that new rows will use before it grows; nil: PostgreSQL.
        public var freeBytes: Int64?
        /// It was stopped before its end.
        public var unfinished: Bool
        public struct Share: Codable, Sendable {
            public var job: String
            public var runs: Int64
            public var attempts: Int64
            public var ranges: Int64
            /// When the first and the last of the runs ended.
            public var oldest: Instant?
            public var newest: Instant?
        }
        public init(place: String, dryRun: Bool, _ report: StorePrune.Report) {
            self.place = place
            self.dryRun = dryRun
            jobs = report.shares.map {
                Share(job: $0.job, runs: $0.runs, attempts: $0.attempts, ranges: $0.ranges, oldest: $0.oldest, newest: $0.newest)
            }
            ofOtherHosts = report.elsewhere
            notInConfig = report.unruled
            freeBytes = report.freeBytes
            unfinished = report.isUnfinished
        }
    }

    /// What `jobhost store export --output FILE --json` prints.
    struct StoreExported: Codable, Sendable {
        var file: String
        var tables: [StoreTable]
    }
}
