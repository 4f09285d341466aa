import JobCore

extension Duration {
    static func days(_ count: Int) -> Duration { .seconds(count * 86_400) }
    static func hours(_ count: Int) -> Duration { .seconds(count * 3_600) }
}

/// `[host]`
enum HostKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("host", name, kind, defaultText, doc)
    }
    static let name = key("name", .string(255), "the machine's host name", "Name of this host in ledger and logs.")
    static let stateDir = key(
        "state_dir", .string(4000), "\"var\"",
        "Folder of history, plugin copies, control socket and lock; made if missing. A change needs a restart.")
    static let include = key(
        "include", .strings(100), "[]",
        "Drop-in files, read in the order of their names. `*` and `?` may be used in the last part of a path; files whose name begins with a dot are left out. A name without them must exist.")
    static let pluginDirs = key(
        "plugin_dirs", .strings(100), "`plugins` beside the config if it is there, then the folder of the running binary",
        "Folders in which a relative `library` is looked up, in this order.")
    static let maxWorkers = key(
        "max_workers", .integer(1...1_000), "32",
        "Worker processes at once, over all plugins. At the limit, due runs wait; idle workers of other plugins make room.")
    static let schedule = key("schedule", .boolean, "true", "false: fires nothing here.")
    static let consume = key("consume", .boolean, "true", "false: executes nothing here that has waited: no enqueued runs, retries, catch-ups or queued fires; only fires that start at their time.")
    static let only = key("only", .strings(1_000), "[]", "Only these jobs, or jobs with these labels, run here. Empty: all.")
    static let labels = key("labels", .strings(64), "[]", "Words by which jobs choose this host, with `run_on`: where it is, what it has.")
    static let grace = key(
        "grace", .duration(.zero...(.hours(1))), "\"30s\"",
        "Longest time for a drain, at a stop and for old workers after a reload. Then whatever is still running is killed.")
    static let logLevel = key("log_level", .choice(["debug", "info", "warning", "error"]), "\"info\"", "Lowest level that is logged.")
    static let logFile = key("log_file", .string(4000), "standard error", "File for the host's log; opened again on SIGUSR1.")
    static let logFormat = key("log_format", .choice(["text", "json"]), "\"text\"", "Lines for people, or one JSON object per line.")
    static let heartbeat = key(
        "heartbeat", .duration(.seconds(1)...(.days(1)), orNone: true), "\"5m\"",
        "How often the log says that the host is alive, what is running and waiting, and what has ended since. Silence then means something.")
    static let all = [
        name, stateDir, include, pluginDirs, maxWorkers, schedule, consume, only, labels, grace, logLevel, logFile, logFormat, heartbeat,
    ]
}

/// `[store]`
enum StoreKeys {
    static let url = ConfigKey(
        "store", "url", .string(4000), "`jobhost.db` in `state_dir`",
        "`sqlite:` and the path of the ledger's file, or `postgresql://user@host/name` as libpq reads it (TLS and password files too), or `file:` and the path of a file that holds it. A change needs a restart.")
    static let schema = ConfigKey(
        "store", "schema", .string(63), "\"jobhost\"",
        "PostgreSQL: the schema of the host's tables, made if missing, and the channel of its notifications.")
    static let prepared = ConfigKey(
        "store", "prepared", .boolean, "true",
        "PostgreSQL: false behind a transaction pooler (pgbouncer): nothing is kept in the server between transactions.")
    static let listenURL = ConfigKey(
        "store", "listen_url", .string(4000), "unset",
        "PostgreSQL: where to listen for notifications, past a pooler. Unset: at `url`, or nowhere with `prepared = false`; enqueued runs are then found by polling twice a second.")
    static let notify = ConfigKey(
        "store", "notify", .boolean, "true",
        "PostgreSQL: false neither listens for notifications nor sends any; enqueued runs are then found by polling twice a second. Where no living host listens, `enqueue` sends none either.")
    static let lease = ConfigKey(
        "store", "lease", .duration(.seconds(2)...(.seconds(600))), "\"90s\"",
        "PostgreSQL: a host that has not been heard of for this long loses its runs to the others; its own workers end themselves shortly before. Renewed six times as often. The store may be away for two thirds of it without a run being lost. Use the same on every host.")
    static let all = [url, schema, prepared, listenURL, notify, lease]
}

/// `[http]`
enum HTTPKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("http", name, kind, defaultText, doc)
    }
    static let listen = key(
        "listen", .special("string `host:port`, port 0 … 65535"), "unset",
        "Where API and page are served over TCP; the host is a numeric address or `localhost`, port 0 takes a free one. An address that other machines can reach needs `read_token`. Unset: only on the Unix socket in `state_dir`.")
    static let readToken = key(
        "read_token", .special("string `file:PATH`"), "unset",
        "File of the tokens that may read. Unset: everybody on this machine may.")
    static let actToken = key(
        "act_token", .special("string `file:PATH`"), "`act.token` in `state_dir`, made at the start",
        "File of the tokens that may act, and read. Unset on an address that other machines can reach: nobody acts over TCP.")
    static let allowedOrigins = key(
        "allowed_origins", .strings(100), "[]", "Origins of other pages that may read from a browser, as in `\"https://desk.example\"`. They never act.")
    static let outbox = key(
        "outbox", .table, "{}",
        "Databases whose `outbox_events` are streamed by `/api/v1/events`, at most 8, under names of your choice: `{ exchange = \"sqlite:var/exchange.db\" }`; `postgresql://…`, or `file:` and the path of a file that holds the URL. See [Plugins](PLUGINS.md#events-for-others).")
    static let all = [listen, readToken, actToken, allowedOrigins, outbox]
}

/// `[alerts]`
enum AlertKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("alerts", name, kind, defaultText, doc)
    }
    static let webhooks = key(
        "webhooks", .strings(10), "[]",
        "URLs (`https://`, `http://`) that each message is POSTed to, as JSON; `file:PATH` where the URL itself is the key, as in many chat services.")
    static let caFile = key(
        "ca_file", .string(4000), "unset", "PEM file of the certificates that `https://` webhooks are checked against. Unset: the system's.")
    static let secret = key(
        "secret", .special("string `file:PATH`"), "unset", "File of the key that signs what webhooks are sent. Unset: not signed.")
    static let command = key(
        "command", .strings(100), "[]",
        "Program and arguments, run for each message, which it finds as JSON on its standard input. It has 30 s; an exit code other than 0 is a failure.")
    static let level = key("level", .choice(["warning", "critical"]), "\"warning\"", "Lowest severity that is sent; alerts below it are only logged.")
    static let gather = key(
        "gather", .duration(.zero...(.hours(1))), "\"10s\"",
        "How long alerts are collected before they go out as one message. One that is over by then is not sent.")
    static let again = key(
        "again", .duration(.seconds(60)...(.days(30)), orNone: true), "\"4h\"", "How often an alert that is still firing is sent again.")
    static let all = [webhooks, caFile, secret, command, level, gather, again]
}

/// `[plugins.NAME]`
enum PluginKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("plugins.NAME", name, kind, defaultText, doc)
    }
    static let bytes: ClosedRange<UInt64> = 1_000_000...(1 << 44)
    static let library = key(
        "library", .string(4000), "required",
        "The shared library: an absolute path, or one that is looked up in `plugin_dirs` and then beside the config.")
    static let memoryLimit = key(
        "memory_limit", .size(bytes), "unset",
        "Memory of a worker, without mapped files. At the limit allocations fail (RLIMIT_DATA); a worker whose resident memory is above it is killed. A run that dies of either ends as crashed (memory limit).")
    static let fileLimit = key(
        "file_limit", .integer(16...1_048_576), "unset", "Open files of a worker (RLIMIT_NOFILE). Beyond it opening a file fails. Unset: the same as the host's.")
    static let env = key(
        "env", .strings(1_000), "[]", "Names of variables that workers get from the host's environment. They get no others.")
    static let maxWorkers = key(
        "max_workers", .integer(1...1_000), "sum of its jobs' `concurrency`", "Worker processes of this plugin at once. At the limit, due runs wait.")
    static let minWorkers = key(
        "min_workers", .integer(0...1_000), "0", "Workers kept ready when nothing is due; at most `max_workers`.")
    static let idleTimeout = key(
        "idle_timeout", .duration(.milliseconds(1)...(.days(7))), "\"5m\"", "A worker idle for this long ends, down to `min_workers`.")
    static let recycle = key("recycle", .table, "unset", "When a worker is replaced by a fresh one, between runs. See below.")
    static let startTimeout = key(
        "start_timeout", .duration(.milliseconds(1)...(.seconds(600))), "\"10s\"",
        "Longest time for loading the library and the handshake. After it the worker is killed: a host fault, not counted against the job.")
    static let user = key("user", .string(32), "unset", "Run the workers as this user. The host must run as root.")
    static let keepVersions = key(
        "keep_versions", .integer(2...100), "5",
        "Accepted libraries that are kept to roll back to (`jobhost plugin versions NAME`), the serving one included; older copies are deleted.")
    static let canary = key(
        "canary", .table, "unset", "A changed library serves a few runs before it takes over. Unset: it takes over at once. See below.")
    static let sha256 = key(
        "sha256", .string(64), "unset",
        "The library's only allowed content, as `sha256sum` prints it. Any other is refused, and what serves goes on; at a start nothing else serves either, except a version that was rolled back to.")
    static let allowWorldWritable = key(
        "allow_world_writable", .boolean, "false",
        "true: accepts a library that everybody may write to, or that lies in such a folder. Otherwise it is refused.")
    static let sandbox = key("sandbox", .table, "unset", "Restricts its workers further than their user's rights do. See below.")
    static let settings = key("settings", .table, "{}", "Settings that every job of the plugin starts from. See Settings.")
    static let all = [
        library, memoryLimit, fileLimit, env, maxWorkers, minWorkers, idleTimeout, recycle, startTimeout, user, keepVersions,
        canary, sha256, allowWorldWritable, sandbox, settings,
    ]
}

/// `[plugins.NAME.canary]`
enum CanaryKeys {
    static let runs = ConfigKey(
        "plugins.NAME.canary", "runs", .integer(1...10_000), "required",
        "How many runs, the next ones of the plugin's jobs, the changed library serves. The old one serves all others.")
    static let all = [runs]
}

/// `[plugins.NAME.sandbox]`
enum SandboxKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("plugins.NAME.sandbox", name, kind, defaultText, doc)
    }
    static let read = key(
        "read", .strings(100), "unset",
        "Files and folders that may be read, besides those that every program needs (below) and those of `write`. With this or `write` set no other file can be opened (Landlock).")
    static let write = key(
        "write", .strings(100), "unset", "Files and folders that may be read, written, made and removed.")
    static let network = key("network", .boolean, "true", "false: no sockets but Unix ones.")
    static let nice = key("nice", .integer(0...19), "0", "Added to the host's niceness: such workers get less of a busy CPU.")
    static let cpuTime = key(
        "cpu_time", .duration(.seconds(1)...(.days(366))), "unset",
        "CPU time of one attempt, checked every second. Beyond it the worker is killed; outcome `crashed` (CPU limit).")
    static let all = [read, write, network, nice, cpuTime]
}

/// `[plugins.NAME.recycle]`
enum RecycleKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ doc: String) -> ConfigKey {
        ConfigKey("plugins.NAME.recycle", name, kind, "unset", doc)
    }
    static let runs = key("runs", .integer(1...1_000_000_000), "Replaced after this many runs.")
    static let age = key("age", .duration(.seconds(1)...(.days(366))), "Replaced when this old.")
    static let memory = key("memory", .size(PluginKeys.bytes), "Replaced when its resident memory is above this after a run.")
    static let all = [runs, age, memory]
}

/// `[calendars.NAME]`
enum CalendarKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("calendars.NAME", name, kind, defaultText, doc)
    }
    static let file = key(
        "file", .string(4000), "unset", "A TOML file with the other keys of this table, instead of them.")
    static let timezone = key("timezone", .string(100), "\"UTC\"", "Zone of its dates and times, a name of the system's tz database.")
    static let sessions = key(
        "sessions", .special("table of weekdays to arrays of `\"HH:MM-HH:MM\"`"), "required",
        "Open hours. Weekdays: `mon`, ranges `mon-fri`, lists `\"mon,wed\"`, `all`. `18:00-17:00` crosses midnight. The end is not included; `24:00` is the end of the day.")
    static let holidays = key("holidays", .special("array of dates, at most 10000"), "[]", "Dates without a session.")
    static let halfDays = key(
        "half_days", .special("table of dates to `\"HH:MM\"` or to arrays of sessions"), "{}",
        "Dates on which everything ends at that time, or on which there are just these sessions.")
    static let all = [file, timezone, sessions, holidays, halfDays]
}
