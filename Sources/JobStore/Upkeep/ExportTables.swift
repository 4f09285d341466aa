import JobCore
import SQL

/// A table as `jobhost store export` writes it: its columns, and how its rows are read a page at a time, in the
/// order of their keys.
struct ExportTable: Sendable {
    /// How a cell is written.
    enum Kind: Sendable {
        case text, integer, instant, flag
        /// JSON, or "" for none.
        case json
        case base64
        /// A part of a breaker, from its encoding.
        case breaker(BreakerPart)
    }
    enum BreakerPart: Sendable { case mode, until, since, reason }

    struct Column: Sendable {
        var name: String
        var sql: String
        var kind: Kind
        init(_ name: String, _ kind: Kind = .text, _ sql: String? = nil) {
            self.name = name
            self.sql = sql ?? name
            self.kind = kind
        }
    }

    /// What a row is called in a line of JSON.
    var word: String
    var columns: [Column]
    /// Behind FROM, with `{s}` for what stands before names of tables.
    var source: String
    /// Of which the rows of `source` have one value each; ascending.
    var key: [String]
    /// The column with the job's name.
    var job = "job"
    /// The first and the last instant of a row; nil: it has none, and all rows are taken.
    var span: (first: String, last: String)?
    /// Large rows come a few at a time.
    var page = 1_000
}

extension StoreExport.Table {
    func plan(_ dialect: SQLDialect) -> ExportTable {
        switch self {
        case .runs: .runs
        case .attempts: .attempts
        case .ranges: .ranges
        case .jobs: .jobs(dialect)
        case .breakers: .breakers
        case .states: .states
        case .counters: .counters
        case .audit: .audit
        }
    }
}

extension ExportTable {

    // Named as the API names them.
    fileprivate static let runs = ExportTable(
        word: "run",
        columns: [
            Column("id", .integer), Column("job"), Column("trigger"), Column("state"), Column("outcome"), Column("fire_time", .instant),
            Column("available_at", .instant), Column("created_at", .instant), Column("started_at", .instant), Column("finished_at", .instant),
            Column("attempt", .integer), Column("max_attempts", .integer), Column("priority", .integer), Column("fence", .integer),
            Column("owner"), Column("epoch"), Column("pid", .integer), Column("library_hash"), Column("generation", .integer),
            Column("reason"), Column("code", .integer), Column("items", .integer), Column("cpu_us", .integer), Column("unique_key"),
            Column("idempotency_key"), Column("retry_of", .integer), Column("expires_at", .instant), Column("payload", .json),
        ],
        source: "{s}runs", key: ["id"], span: ("fire_time", "fire_time"))

    fileprivate static let attempts = ExportTable(
        word: "attempt",
        columns: [
            Column("run", .integer), Column("job", .text, "r.job"), Column("attempt", .integer, "a.attempt"), Column("outcome", .text, "a.outcome"),
            Column("started_at", .instant, "a.started_at"), Column("finished_at", .instant, "a.finished_at"), Column("pid", .integer, "a.pid"),
            Column("library_hash", .text, "a.library_hash"), Column("reason", .text, "a.reason"), Column("code", .integer, "a.code"),
        ],
        source: "{s}attempts a JOIN {s}runs r ON r.id = a.run", key: ["a.run", "a.attempt"], job: "r.job", span: ("r.fire_time", "r.fire_time"))

    fileprivate static let ranges = ExportTable(
        word: "range",
        columns: [
            Column("id", .integer), Column("job"), Column("reason"), Column("first", .instant), Column("last", .instant), Column("count", .integer),
        ],
        source: "{s}ledger_ranges", key: ["id"], span: ("first", "last"))

    fileprivate static func jobs(_ dialect: SQLDialect) -> ExportTable {
        // In PostgreSQL each host keeps the newest ends that it saw.
        let ends = dialect == .sqlite ? "" : """
             LEFT JOIN LATERAL (
                SELECT finished_at, outcome FROM {s}job_ends n WHERE n.job = j.job ORDER BY finished_at DESC LIMIT 1) e ON true
            """
        let (finished, outcome) = dialect == .sqlite
            ? ("s.last_finished", "s.last_outcome")
            : ("greatest(e.finished_at, s.last_finished)",
               "CASE WHEN e.finished_at >= coalesce(s.last_finished, e.finished_at) THEN e.outcome ELSE s.last_outcome END")
        return ExportTable(
            word: "job",
            columns: [
                Column("job", .text, "j.job"), Column("cursor", .instant, "s.cursor"), Column("schedule", .text, "s.schedule"),
                Column("adaptive_us", .integer, "s.adaptive_us"), Column("last_finished", .instant, finished),
                Column("last_outcome", .text, outcome), Column("enabled", .flag, "c.enabled"), Column("reason", .text, "c.reason"),
                Column("since", .instant, "c.since"), Column("paused", .flag, "coalesce(c.paused, 0)"), Column("pause_reason", .text, "c.pause_reason"),
                Column("paused_since", .instant, "c.paused_since"),
            ],
            source: """
                (SELECT job FROM {s}job_states UNION SELECT job FROM {s}controls) AS j
                LEFT JOIN {s}job_states s ON s.job = j.job LEFT JOIN {s}controls c ON c.job = j.job\(ends)
                """,
            key: ["j.job"], job: "j.job")
    }

    fileprivate static let breakers = ExportTable(
        word: "breaker",
        columns: [
            Column("job"), Column("generation", .integer), Column("mode", .breaker(.mode), "data"), Column("until", .breaker(.until), "data"),
            Column("since", .breaker(.since), "data"), Column("reason", .breaker(.reason), "data"), Column("updated_at", .instant),
        ],
        source: "{s}breakers", key: ["job"])

    fileprivate static let states = ExportTable(
        word: "state",
        columns: [Column("job"), Column("version", .integer), Column("bytes", .base64), Column("updated_at", .instant)],
        source: "{s}state_blobs", key: ["job"], page: 16)

    fileprivate static let counters = ExportTable(
        word: "counter",
        columns: [Column("job"), Column("name"), Column("value", .integer)],
        source: "(SELECT job, name, CAST(sum(value) AS bigint) AS value FROM {s}counters GROUP BY job, name) AS c", key: ["job", "name"])

    fileprivate static let audit = ExportTable(
        word: "audit",
        columns: [
            Column("id", .integer), Column("at", .instant), Column("actor"), Column("via"), Column("reason"), Column("action"), Column("job"),
            Column("detail"),
        ],
        source: "{s}audit", key: ["id"], span: ("at", "at"))
}
