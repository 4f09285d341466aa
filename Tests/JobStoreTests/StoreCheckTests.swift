import Glibc
import JobCore
import PostgresTestKit
import SQL
import StoreSuite
import Testing

@testable import JobStore

@Suite struct StoreCheckTests {
    private static func broken(_ upkept: Upkept, isServed: Bool = false, now: Instant = .at(10)) async throws -> [StoreCheck.Finding] {
        try await StoreCheck.run(upkept.place, isServed: isServed, now: now).findings.filter { $0.level != .ok }
    }

    @Test("A sound store keeps every rule, while a host has it open and afterwards", arguments: TestPostgres.dialects)
    func sound(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect) { upkept in
            #expect(try await Self.broken(upkept, isServed: true) == [])
            let report = try await StoreCheck.run(upkept.place, isServed: false, now: .at(10))
            #expect(report.level == .ok)
            #expect(report.format.isCurrent)
            // Whatever has a name here has a test that breaks it, below.
            let engine: Set = dialect == .sqlite
                ? ["format", "file", "references", "tables"] : ["format", "pages", "indexes", "tables", "autovacuum"]
            #expect(Set(report.findings.map(\.rule)) == engine.union(Self.spoilings.map(\.rule)).union(["leases"]))
            await upkept.store.close()
            #expect(try await Self.broken(upkept) == [])
        }
    }

    struct Spoiling: Sendable, CustomStringConvertible {
        var rule: String
        var sql: [SQLDialect: String]
        var example: String
        var description: String { rule }
        init(_ rule: String, _ sql: String, _ example: String, postgres: String? = nil) {
            self.rule = rule
            self.sql = [.sqlite: sql, .postgresql: postgres ?? sql]
            self.example = example
        }
    }

    static let spoilings = [
        Spoiling("due times", "UPDATE runs SET fire_time = 1764547205000000 WHERE id = 1", "candles at 2025-12-01T00:00:05Z"),
        Spoiling("cursors", "UPDATE job_states SET cursor = cursor - 1 WHERE job = 'candles'", "candles at 2025-12-01T00:00:05Z"),
        Spoiling("ends", "UPDATE runs SET finished_at = NULL WHERE id = 1", "run 1 of candles at 2025-12-01T00:00:01Z"),
        Spoiling("outcomes", "UPDATE runs SET outcome = NULL WHERE id = 1", "run 1 of candles at 2025-12-01T00:00:01Z"),
        Spoiling("words", "UPDATE runs SET trigger = 'whim' WHERE id = 3", "run 3: available, whim, no outcome at 2025-12-01T00:00:00Z"),
        Spoiling("counters", "DELETE FROM counters WHERE name = 'succeeded'", "candles succeeded: 1 in the ledger"),
        Spoiling("owners", "UPDATE runs SET owner = '' WHERE id = 2", "run 2 of candles at 2025-12-01T00:00:05Z"),
        Spoiling("fences", "UPDATE runs SET fence = 1 WHERE id = 2", "fence 1"),
        Spoiling("open attempts", "UPDATE runs SET lease_until = 1 WHERE id = 1", "run 1 of candles at 2025-12-01T00:00:01Z"),
        Spoiling("attempts", "UPDATE runs SET attempt = 9 WHERE id = 1", "run 1 of candles at 2025-12-01T00:00:01Z"),
        Spoiling(
            "earlier attempts", "INSERT INTO attempts VALUES (1, 5, 'failed', NULL, 0, 0, '', '', 0)", "run 1 attempt 5 at 1970-01-01T00:00:00Z"),
        Spoiling(
            "unique keys", "DROP INDEX runs_unique_key; UPDATE runs SET unique_key = 'k' WHERE id IN (3, 4)", "mint key k"),
        Spoiling("places", "UPDATE runs SET rank = rank + 1 WHERE id = 3", "run 3 of mint at 2025-12-01T00:00:00Z"),
        Spoiling("retries", "UPDATE runs SET retry_of = 7 WHERE id = 3", "run 3 of mint at 2025-12-01T00:00:00Z"),
        Spoiling(
            "ranges", "INSERT INTO ledger_ranges (job, reason, first, last, count) VALUES ('candles', 'paused', 1764547204000000, 1764547204000000, 1)",
            "candles paused at 2025-12-01T00:00:04Z"),
        Spoiling(
            "runs and ranges", "UPDATE ledger_ranges SET first = first - 1000000, count = 4", "run 1 of candles at 2025-12-01T00:00:01Z"),
        Spoiling("range counts", "UPDATE ledger_ranges SET count = 1", "candles overlap: 1 at 2025-12-01T00:00:02Z"),
        Spoiling("open ranges", "UPDATE job_states SET open_range = 99 WHERE job = 'candles'", "candles range 99"),
        Spoiling(
            "numbers", "UPDATE sequences SET value = 4 WHERE name = 'run'", "run 5 fence 5", postgres: "SELECT setval('run_ids', 4)"),
        Spoiling("breakers", "UPDATE breakers SET generation = generation + 1", "mint's is of generation 2, saved under 3"),
        Spoiling("breakers", "UPDATE breakers SET data = '1|ajar'", "mint's cannot be read"),
    ]

    @Test(arguments: spoilings)
    func namesWhatIsBroken(_ spoiling: Spoiling) async throws {
        for dialect in TestPostgres.dialects {
            try await Upkept.use(dialect) { upkept in
                try upkept.execute(try #require(spoiling.sql[dialect]))
                let finding = try #require(try await Self.broken(upkept).first { $0.rule == spoiling.rule }, "\(dialect)")
                #expect(finding.level == .fail)
                #expect(finding.count == 1, "\(dialect)")
                #expect(finding.examples == [spoiling.example], "\(dialect)")
            }
        }
    }

    @Test("All are counted, some are named", arguments: TestPostgres.dialects)
    func counts(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect) { upkept in
            try upkept.execute("UPDATE runs SET retry_of = 100 + id")
            let finding = try #require(try await StoreCheck.run(upkept.place, isServed: false, limit: 2, now: .at(10)).findings.first { $0.rule == "retries" })
            #expect(finding.count == 5)
            #expect(finding.examples.count == 2)
        }
    }

    @Test("A run whose host is dead is one of a ledger that nobody serves; kept beside a living one it is forgotten")
    func leases() async throws {
        try await Upkept.use(.sqlite) { upkept in
            try upkept.execute("UPDATE runs SET lease_until = 1764547205000000 WHERE id = 2")
            #expect(try await Self.broken(upkept, isServed: true, now: .at(60)) == [])
            #expect(try await Self.broken(upkept, isServed: false, now: .at(600)) == [])
            #expect(try await Self.broken(upkept, isServed: true, now: .at(600)).map(\.examples) == [["run 2 of candles on alpha at 2025-12-01T00:00:05Z"]])
        }
        guard TestPostgres.dialects.contains(.postgresql) else { return }
        try await Upkept.use(.postgresql) { upkept in
            let clock = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
            try upkept.execute("UPDATE runs SET lease_until = 1764547205000000 WHERE id = 2")
            #expect(try await Self.broken(upkept) == [])
            try upkept.execute("""
                INSERT INTO hosts (name, epoch, place, lease_until, seen_at, skew_us, since_at)
                VALUES ('beta', 'life-1', '', \(clock) + 60000000, 0, 0, \(clock))
                """)
            #expect(try await Self.broken(upkept) == [], "it has only begun")
            try upkept.execute("UPDATE hosts SET since_at = 0")
            #expect(try await Self.broken(upkept).map(\.examples) == [["run 2 of candles on alpha at 2025-12-01T00:00:05Z"]])
            // Its own host lives: it looks after the run, unless that is of an earlier life.
            try upkept.execute("UPDATE hosts SET name = 'alpha'")
            #expect(try await Self.broken(upkept) == [])
            try upkept.execute("UPDATE hosts SET epoch = 'life-2'")
            #expect(try await Self.broken(upkept).map(\.rule) == ["leases"])
        }
    }

    // MARK: The engine

    @Test func tablesThatWereChangedAreNamed() async throws {
        try await Upkept.use(.sqlite) { upkept in
            try upkept.execute("DROP INDEX runs_job; DROP INDEX runs_dead; CREATE INDEX runs_dead ON runs (job); CREATE INDEX mine ON runs (pid)")
            let findings = try await Self.broken(upkept)
            #expect(findings.map(\.rule) == ["tables"])
            #expect(findings.first?.examples == ["index runs_dead was changed", "index runs_job is not there"])
        }
    }

    @Test func aDamagedFileIsToldAndTheRestIsLookedAtAllTheSame() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            _ = try await store.enqueue((0..<2_000).map { _ in .mint(bytes: 100) }, now: .at(0))
            await store.close()
            let descriptor = Glibc.open(file.path, O_WRONLY)
            let rubbish = [UInt8](repeating: 0xA5, count: 4_096)
            #expect(pwrite(descriptor, rubbish, rubbish.count, 40 * 4_096) == rubbish.count)
            close(descriptor)
            let report = try await StoreCheck.run(.file(file.path), isServed: false, now: .at(0))
            let found = try #require(report.findings.first { $0.rule == "file" })
            #expect(found.level == .fail && !found.examples.isEmpty)
            #expect(report.findings.count == 25, "\(report.findings.map(\.rule))")
        }
    }

    @Test("Of an older format only the database is looked at", arguments: TestPostgres.dialects)
    func older(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect) { upkept in
            try upkept.execute(dialect == .sqlite ? "PRAGMA user_version = 1" : "DELETE FROM schema_migrations WHERE version > 1")
            let report = try await StoreCheck.run(upkept.place, isServed: false, now: .at(10))
            #expect(report.findings.filter { $0.level == .fail }.map(\.examples) == [["format 1, this program's is \(dialect == .sqlite ? Migrations.newest : PostgresMigrations.newest): the next start of a host brings it up"]])
            #expect(report.findings.count == 3)
        }
    }

    @Test("Where there is none, or another program's, that is said")
    func noStore() async throws {
        try await TemporaryStore.use { file in
            func refusal() async -> StoreError? {
                do {
                    _ = try await StoreCheck.run(.file(file.path), isServed: false, now: .at(0))
                    return nil
                } catch { return error as? StoreError }
            }
            #expect(await refusal()?.kind == .notFound)
            let other = try SQLiteConnection(path: file.path)
            try other.execute("CREATE TABLE customers (name TEXT)")
            other.close()
            #expect(await refusal()?.kind == .incompatible)
        }
    }

    @Test(.enabled(if: TestPostgres.url != nil)) func whatPostgreSQLIsToKeepIsReadFromTheMigrationsText() async throws {
        try await Upkept.use(.postgresql, filled: false) { upkept in
            guard case .postgres(let url, let schema, _) = upkept.place else { return }
            let connection = try PostgresConnection(PostgresAddress(url))
            defer { connection.close() }
            let found = try connection.rows("""
                SELECT c.relname, o.option_name, o.option_value FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                CROSS JOIN LATERAL pg_options_to_table(c.reloptions) o WHERE n.nspname = ?
                """, [.text(schema)]) { (try $0.text(0), try $0.text(1), try $0.text(2)) }
            let plan = PostgresPlan(PostgresMigrations.all.map(\.script))
            #expect(found.count > 20)
            #expect(plan.settings.values.reduce(0) { $0 + $1.count } == found.count)
            for (table, setting, value) in found { #expect(plan.settings[table]?[setting] == value, "\(table) \(setting)") }
            #expect(plan.objects.contains("function enqueue_many") && plan.objects.contains("sequence fences") && plan.objects.contains("index runs_fire"))
        }
    }

    @Test(.enabled(if: TestPostgres.url != nil), arguments: [
        ("DROP INDEX runs_job", "tables", "index runs_job is not there"),
        ("DROP FUNCTION enqueue", "tables", "function enqueue is not there"),
        ("ALTER TABLE runs RESET (autovacuum_vacuum_threshold)", "autovacuum", "runs: autovacuum_vacuum_threshold is not set, made with 20000"),
        ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'runs_dead'::regclass", "indexes",
         "index runs_dead: REINDEX it, or drop it if it is none of the store's"),
        ("ALTER TABLE runs ADD CONSTRAINT mine CHECK (id > 0) NOT VALID", "indexes", "constraint mine of runs"),
    ])
    func namesWhatIsWrongWithTheDatabase(sql: String, rule: String, example: String) async throws {
        try await Upkept.use(.postgresql) { upkept in
            try upkept.execute(sql)
            let findings = try await Self.broken(upkept)
            #expect(findings.map(\.rule) == [rule])
            #expect(findings.first?.examples == [example])
            #expect(findings.first?.level == (rule == "autovacuum" ? .warn : .fail))
        }
    }
}
