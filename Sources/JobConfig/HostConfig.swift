import JobCore

/// One whole config, read, merged and checked as far as files alone allow. Plain values:
/// equal configs compare equal, which is what reload's diff stands on.
public struct HostConfig: Equatable, Sendable {
    /// Absolute path of the main file; relative paths in the config are relative to its folder.
    public var file: String
    /// Absolute paths of all files that were read, the main one first.
    public var files: [String] = []
    /// What settings and the store's address have from files, and from variables whose names say that they are secret
    /// (PASS, SECRET, TOKEN, KEY, CREDENTIAL): never to be printed, whoever says it.
    public var secrets = Secrets()
    public var host: HostSettings
    public var store: StoreSettings
    public var http: HTTPSettings
    public var alerts = AlertSettings()
    public var calendars: [String: CalendarConfig]
    public var plugins: [String: PluginConfig]
    public var jobs: [String: JobConfig]
    public init(
        file: String, host: HostSettings, store: StoreSettings, http: HTTPSettings,
        calendars: [String: CalendarConfig] = [:], plugins: [String: PluginConfig] = [:],
        jobs: [String: JobConfig] = [:]
    ) {
        self.file = file
        self.host = host
        self.store = store
        self.http = http
        self.calendars = calendars
        self.plugins = plugins
        self.jobs = jobs
    }
}

public struct HostSettings: Equatable, Sendable {
    /// Name of this host in ledger and logs. Default: the machine's host name.
    public var name: String
    /// Absolute. History, plugin copies, run logs, control socket, lock. At most `longestStateDir` bytes.
    public var stateDir: String
    /// Bytes: a socket's path has at most 107 (unix(7)), and ours is `jobhost.sock` in it.
    public static let longestStateDir = 107 - "/jobhost.sock".utf8.count
    /// Folder that relative `library` names are looked up in, absolute. Default: `plugins`
    /// beside the config, if it is there, else the folder of the running binary.
    public var pluginDirs: [String]
    public var maxWorkers: Int = 32
    /// false: fires nothing here.
    public var schedule = true
    /// false: executes no enqueued runs here.
    public var consume = true
    /// Just these jobs or labels here; empty: all.
    public var only: [String] = []
    /// What jobs choose this host by.
    public var labels: [String] = []
    /// The longest that a drain (stop, or old workers after a reload) may take. Default 30s.
    public var grace: Duration = .seconds(30)
    /// "info"; "debug", "warning", "error".
    public var logLevel: String = "info"
    /// Absolute path; nil: standard error. Reopened on SIGUSR1.
    public var logFile: String?
    /// "text" or "json".
    public var logFormat: String = "text"
    /// How often the log says that the host is alive; nil: never.
    public var heartbeat: Duration? = .seconds(300)
    public init(name: String, stateDir: String, pluginDirs: [String], only: [String] = [], labels: [String] = []) {
        self.name = name
        self.stateDir = stateDir
        self.pluginDirs = pluginDirs
        self.only = only
        self.labels = labels
    }
}

public struct StoreSettings: Equatable, Sendable {
    /// `sqlite:<absolute path>` (resolved), or `postgresql://…`, which may hold a password.
    public var url: String
    /// Of PostgreSQL: where its tables are.
    public var schema = "jobhost"
    /// Of PostgreSQL: false behind a transaction pooler.
    public var prepared = true
    /// Of PostgreSQL: where to listen, if not at `url`.
    public var listenURL: String?
    /// Of PostgreSQL: false neither listens nor notifies.
    public var notify = true
    /// Of PostgreSQL: how long a host that is not heard of keeps what it runs.
    public var lease: Duration = .seconds(90)
    /// `url` without password and parameters.
    public var shown: String {
        guard isPostgreSQL, let scheme = url.firstRange(of: "://") else { return url }
        let rest = url[scheme.upperBound...]
        let at = rest.lastIndex(of: "@")
        let user = at.map { rest[..<$0].prefix { $0 != ":" } + "@" } ?? ""
        return "postgresql://" + user + (at.map { rest[rest.index(after: $0)...] } ?? rest).prefix { $0 != "?" }
    }
    public var isPostgreSQL: Bool { Self.isPostgreSQL(url) }
    static func isPostgreSQL(_ url: String) -> Bool { url.hasPrefix("postgresql://") || url.hasPrefix("postgres://") }
    public init(url: String) { self.url = url }
}

public struct HTTPSettings: Equatable, Sendable {
    /// host:port of API and page, or nil: the Unix socket alone.
    public var listen: String?
    /// Who may read over TCP; empty: everybody on this machine.
    public var readTokens: [AccessToken] = []
    /// Who may act over TCP, and read.
    public var actTokens: [AccessToken] = []
    /// Origins of pages elsewhere that may read here.
    public var allowedOrigins: Set<String> = []
    /// Whose events are streamed.
    public var outboxes: [OutboxSource] = []
    public init(listen: String? = nil) { self.listen = listen }
}

/// A database with a table `outbox_events`. Its URL may hold a password: it is never printed, whatever prints this.
public struct OutboxSource: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
    public var name: String
    public var url: String
    public init(name: String, url: String) {
        self.name = name
        self.url = url
    }
    public var description: String { "\(name) ***" }
    public var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}

public struct AlertSettings: Equatable, Sendable {
    public enum Level: Sendable { case warning, critical }
    public var webhooks: [WebhookURL] = []
    /// Certificates that `https` webhooks are checked against; nil: the system's.
    public var caFile: String?
    /// Signs what webhooks are sent; nil: not signed.
    public var secret: AccessToken?
    /// Program and arguments; empty: none.
    public var command: [String] = []
    /// What is less is not told.
    public var level = Level.warning
    /// How long what belongs together is gathered into one message.
    public var gather: Duration = .seconds(10)
    /// Told again while it lasts; nil: never.
    public var again: Duration? = .seconds(4 * 3_600)
    public init() {}
}

/// Shows who somebody is. Never printed, whatever prints it.
public struct AccessToken: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
    /// For the audit.
    public var name: String
    public var secret: String
    public init(name: String, secret: String) {
        self.name = name
        self.secret = secret
    }
    public var description: String { "\(name) ***" }
    public var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}

public struct PluginConfig: Equatable, Sendable {
    public var name: String
    /// Absolute path of the library as the operator keeps it (not the host's copy).
    public var library: String
    /// Where `library` stands in the config, for messages.
    public var position: SourcePosition
    /// RLIMIT_DATA, bytes; nil: none.
    public var memoryLimit: UInt64?
    /// RLIMIT_NOFILE, open files; nil: as the host's.
    public var fileLimit: UInt64?
    /// Environment of the workers: names copied from the host's own environment …
    public var environment: [String] = []
    /// Upper bound of the pool; nil: the sum of its jobs' concurrency.
    public var maxWorkers: Int?
    /// Workers kept ready when idle. Default 0.
    public var minWorkers: Int = 0
    public var idleTimeout: Duration = .seconds(300)
    public var recycle = Recycle()
    /// Limit of load and handshake. Default 10s.
    public var startTimeout: Duration = .seconds(10)
    /// Run the workers as this user (the host must run as root).
    public var user: String?
    /// Copies of accepted libraries that are kept to roll back to, the serving one included.
    public var keepVersions = 5
    /// A changed library first serves a few runs beside the old one; nil: it takes over at once.
    public var canary: Canary?
    /// The only content that the library may have, 64 hexadecimal digits in lower case; nil: any.
    public var sha256: String?
    /// A library, or a folder on the way to it, that everybody may write to is taken all the same.
    public var allowWorldWritable = false
    /// nil: the workers may do whatever their user may.
    public var sandbox: Sandbox?
    /// Settings every job of the plugin starts from.
    public var settings: ConfigTable
    /// Where each key that is set stands, for messages: "user" → its value's place.
    public var places: [String: SourcePosition] = [:]
    public init(name: String, library: String, position: SourcePosition, settings: ConfigTable = ConfigTable()) {
        self.name = name
        self.library = library
        self.position = position
        self.settings = settings
    }

    /// Where `key` stands, or else where the plugin's table begins.
    public func place(of key: String) -> SourcePosition { places[key] ?? position }

    public struct Recycle: Equatable, Sendable {
        /// Runs after which a worker is replaced; nil: never.
        public var runs: Int?
        public var age: Duration?
        /// Resident bytes after which a worker is replaced between runs.
        public var memory: UInt64?
        public init(runs: Int? = nil, age: Duration? = nil, memory: UInt64? = nil) {
            self.runs = runs
            self.age = age
            self.memory = memory
        }
    }

    public struct Canary: Hashable, Sendable {
        /// Runs that the changed library serves before it takes over, at least 1.
        public var runs: Int
        public init(runs: Int) { self.runs = runs }
    }

    /// What the workers may do less than their user may.
    public struct Sandbox: Hashable, Sendable {
        /// Absolute paths of files and folders that may be read, and written; nil for both: every
        /// file that the user may.
        public var read: [String]?
        public var write: [String]?
        /// false: no socket but of the Unix kind.
        public var network = true
        /// Added to the host's own niceness, 0 … 19.
        public var nice = 0
        /// CPU time of one attempt; nil: unlimited.
        public var cpuTime: Duration?
        public init() {}

        /// Whether files are confined to the two lists.
        public var confinesFiles: Bool { read != nil || write != nil }
    }
}

public struct Retention: Hashable, Sendable {
    public var age: Duration = .seconds(7 * 86_400)
    public var runs = 1_000
    public init(age: Duration = .seconds(7 * 86_400), runs: Int = 1_000) {
        self.age = age
        self.runs = runs
    }
}

public struct CalendarConfig: Equatable, Sendable {
    public var name: String
    public var timezone: String
    public var calendar: BusinessCalendar
    public init(name: String, timezone: String, calendar: BusinessCalendar) {
        self.name = name
        self.timezone = timezone
        self.calendar = calendar
    }
}

/// A place in a config file. Lines and columns count from 1.
public struct SourcePosition: Equatable, Hashable, Sendable, CustomStringConvertible {
    public var file: String
    public var line: Int
    public var column: Int
    public init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }
    /// An argument of the command line, which has no lines.
    public init(argument: String) { self.init(file: argument, line: 0, column: 0) }
    public var description: String { line == 0 ? file : "\(file):\(line):\(column)" }
}

/// One fault of a config: where, what was found, what is allowed, the nearest name.
public struct ConfigError: Error, Equatable, Sendable, CustomStringConvertible {
    public var position: SourcePosition?
    public var message: String
    /// "did you mean 'timeout'?" — a sentence, or nil.
    public var hint: String?
    /// Something could not be read for a fault of the host's own: it says nothing of the config.
    public var isOfHost: Bool
    public init(position: SourcePosition?, message: String, hint: String? = nil, isOfHost: Bool = false) {
        self.position = position
        self.message = message
        self.hint = hint
        self.isOfHost = isOfHost
    }
    public var description: String {
        let place = position.map { "\($0): " } ?? ""
        return place + message + (hint.map { " (\($0))" } ?? "")
    }
}

/// All faults found; never empty.
public struct ConfigErrors: Error, Sendable, CustomStringConvertible {
    public var errors: [ConfigError]
    public init(_ errors: [ConfigError]) { self.errors = errors }
    /// Read again as it is, the config may be found to be sound.
    public var isOfHost: Bool { errors.contains(where: \.isOfHost) }
    /// One line for each.
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}
