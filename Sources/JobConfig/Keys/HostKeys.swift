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
        "Drop-in files, read in the order of their names. `*` and `?` stand in the last part of a path; files whose name begins with a dot are left out. A name without them must exist.")
    static let pluginDirs = key(
        "plugin_dirs", .strings(100), "`plugins` beside the config if it is there, then the folder of the running binary",
        "Folders in which a relative `library` is looked up, in this order.")
    static let maxWorkers = key(
        "max_workers", .integer(1...1_000), "32",
        "Worker processes at once, over all plugins. At the limit, due runs wait; idle workers of other plugins make room.")
    static let schedule = key("schedule", .boolean, "true", "false: fires nothing here.")
    static let consume = key("consume", .boolean, "true", "false: executes nothing here that waits: not enqueued runs, nor retries, catch-ups and queued fires; only fires that start at their time.")
    static let only = key("only", .strings(1_000), "[]", "Just these jobs, or jobs with these labels, here. Empty: all.")
    static let labels = key("labels", .strings(64), "[]", "What jobs choose this host by, with `run_on`: where it stands, what it has.")
    static let grace = key(
        "grace", .duration(.zero...(.hours(1))), "\"30s\"",
        "The longest that a drain may take, at a stop and for old workers after a reload. Then what still runs is killed.")
    static let logLevel = key("log_level", .choice(["debug", "info", "warning", "error"]), "\"info\"", "Lowest level that is logged.")
    static let logFile = key("log_file", .string(4000), "standard error", "File for the host's log; opened again on SIGUSR1.")
    static let logFormat = key("log_format", .choice(["text", "json"]), "\"text\"", "Lines for people, or one JSON object a line.")
    static let heartbeat = key(
        "heartbeat", .duration(.seconds(1)...(.days(1)), orNone: true), "\"5m\"",
        "How often the log says that the host is alive, what runs and waits, and what ended since: silence then means something.")
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
        "PostgreSQL: where to listen for notifications, past a pooler. Unset: at `url`, or nowhere with `prepared = false`; what waits is then found by asking twice a second.")
    static let notify = ConfigKey(
        "store", "notify", .boolean, "true",
        "PostgreSQL: false neither listens for notifications nor sends any; what waits is then found by asking twice a second. Where no living host listens, `enqueue` sends none either.")
    static let lease = ConfigKey(
        "store", "lease", .duration(.seconds(2)...(.seconds(600))), "\"90s\"",
        "PostgreSQL: a host that has not been heard of for so long has lost what it runs, which others take over; its own workers end themselves shortly before. Renewed six times as often. The store may be away for two thirds of it without a run being lost. The same on every host.")
    static let all = [url, schema, prepared, listenURL, notify, lease]
}

/// `[http]`
enum HTTPKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("http", name, kind, defaultText, doc)
    }
    static let listen = key(
        "listen", .special("string `host:port`, port 0 … 65535"), "unset",
        "Where API and page are served over TCP; the host is an address in numbers or `localhost`, port 0 takes a free one. Reached from other machines only with `read_token`. Unset: on the Unix socket in `state_dir` alone.")
    static let readToken = key(
        "read_token", .special("string `file:PATH`"), "unset",
        "File of the tokens that may read. Unset: everybody on this machine may.")
    static let actToken = key(
        "act_token", .special("string `file:PATH`"), "`act.token` in `state_dir`, made at the start",
        "File of the tokens that may act, and read. Unset on an address of other machines: nobody acts over TCP.")
    static let allowedOrigins = key(
        "allowed_origins", .strings(100), "[]", "Pages elsewhere that may read from a browser, as in `\"https://desk.example\"`. They never act.")
    static let outbox = key(
        "outbox", .table, "{}",
        "Databases whose `outbox_events` `/api/v1/events` tells of, at most 8, by names of yours: `{ exchange = \"sqlite:var/exchange.db\" }`; `postgresql://…`, or `file:` and the path of a file that holds the URL. See [Plugins](PLUGINS.md#events-for-others).")
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
        "Program and arguments, run for each message, which it finds as JSON on its standard input. It has 30 s; another code than 0 is a failure.")
    static let level = key("level", .choice(["warning", "critical"]), "\"warning\"", "What is less is not told.")
    static let gather = key(
        "gather", .duration(.zero...(.hours(1))), "\"10s\"",
        "How long what belongs together is gathered into one message. What is over by then is not told.")
    static let again = key(
        "again", .duration(.seconds(60)...(.days(30)), orNone: true), "\"4h\"", "Told again while it lasts.")
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
        "Data memory of a worker (RLIMIT_DATA). Past it allocations fail; the run ends as crashed (memory limit).")
    static let fileLimit = key(
        "file_limit", .integer(16...1_048_576), "unset", "Open files of a worker (RLIMIT_NOFILE). Past it opening a file fails. Unset: as the host's.")
    static let env = key(
        "env", .strings(1_000), "[]", "Names of variables that workers get from the host's environment. They get no other.")
    static let maxWorkers = key(
        "max_workers", .integer(1...1_000), "sum of its jobs' `concurrency`", "Worker processes of this plugin at once. At the limit, due runs wait.")
    static let minWorkers = key(
        "min_workers", .integer(0...1_000), "0", "Workers kept ready when nothing is due; at most `max_workers`.")
    static let idleTimeout = key(
        "idle_timeout", .duration(.milliseconds(1)...(.days(7))), "\"5m\"", "A worker idle for this long ends, down to `min_workers`.")
    static let recycle = key("recycle", .table, "unset", "When a worker is replaced by a fresh one, between runs. See below.")
    static let startTimeout = key(
        "start_timeout", .duration(.milliseconds(1)...(.seconds(600))), "\"10s\"",
        "Limit of loading the library and shaking hands. Past it the worker is killed: a host fault, not counted against the job.")
    static let user = key("user", .string(32), "unset", "Run the workers as this user. The host must run as root.")
    static let keepVersions = key(
        "keep_versions", .integer(2...100), "5",
        "Accepted libraries that are kept to roll back to (`jobhost plugin versions NAME`), the serving one included; older copies go.")
    static let canary = key(
        "canary", .table, "unset", "A changed library serves a few runs before it takes over. Unset: it takes over at once. See below.")
    static let sha256 = key(
        "sha256", .string(64), "unset",
        "The library's only allowed content, as `sha256sum` prints it. Any other is refused, and what serves goes on; at a start nothing else serves either, but for what was rolled back to.")
    static let allowWorldWritable = key(
        "allow_world_writable", .boolean, "false",
        "true: takes a library that everybody may write to, or that lies in such a folder. Otherwise it is refused.")
    static let sandbox = key("sandbox", .table, "unset", "What its workers may do less than their user may. See below.")
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
        "So many runs of the plugin's jobs, the next ones, are served by the changed library, all others by the old one.")
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
        "CPU time of one attempt, looked at each second. Past it the worker is killed; outcome `crashed` (CPU limit).")
    static let all = [read, write, network, nice, cpuTime]
}

/// `[plugins.NAME.recycle]`
enum RecycleKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ doc: String) -> ConfigKey {
        ConfigKey("plugins.NAME.recycle", name, kind, "unset", doc)
    }
    static let runs = key("runs", .integer(1...1_000_000_000), "Replaced after so many runs.")
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
        "Open hours. Weekdays: `mon`, ranges `mon-fri`, lists `\"mon,wed\"`, `all`. `18:00-17:00` goes over midnight. The end is not in it; `24:00` is the day's end.")
    static let holidays = key("holidays", .special("array of dates, at most 10000"), "[]", "Dates without a session.")
    static let halfDays = key(
        "half_days", .special("table of dates to `\"HH:MM\"` or to arrays of sessions"), "{}",
        "Dates on which everything ends at that time, or on which there are just these sessions.")
    static let all = [file, timezone, sessions, holidays, halfDays]
}
