import JobCore
import SQL
import Testing

@testable import JobStore

/// The rows of a store in an earlier format: what it held then is looked for in the columns that it had then.
struct FormatContents {
    private var columns: [String: [String]] = [:]
    private(set) var rows: [String: [String]] = [:]

    init(_ connection: some SQLConnection) throws {
        let question = connection.dialect == .sqlite
            ? "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid"
            : """
                SELECT table_name, column_name FROM information_schema.columns
                WHERE table_schema = current_schema() ORDER BY table_name, ordinal_position
                """
        for (table, column) in try connection.rows(question, [], { (try $0.text(0), try $0.text(1)) }) where table != "schema_migrations" {
            columns[table, default: []].append(column)
        }
        rows = try again(connection)
    }

    /// The same columns as they are now.
    func again(_ connection: some SQLConnection) throws -> [String: [String]] {
        var found: [String: [String]] = [:]
        for (table, columns) in columns {
            let texts = columns.map { "coalesce(CAST(\"\($0)\" AS text), 'NULL')" }
            found[table] = try connection.rows("SELECT \(texts.joined(separator: " || '|' || ")) FROM \(table) ORDER BY 1", [], { try $0.text(0) })
        }
        return found
    }
}

/// Something in every table that a format has: runs in each of their states, and what is kept beside them.
enum EarlierStore {
    private static func at(_ seconds: Int64) -> Int64 { Instant.at(seconds).stored }

    /// Fills what has the steps up to `version`, of which each adds to what the ones before it could hold.
    static func fill(_ connection: some SQLConnection, version: Int) throws -> FormatContents {
        let isSQLite = connection.dialect == .sqlite
        for script in (isSQLite ? sqlite : postgres).prefix(version) { try connection.execute(script) }
        let contents = try FormatContents(connection)
        for (table, rows) in contents.rows { try #require(!rows.isEmpty, "\(table) is empty in format \(version)") }
        return contents
    }

    /// Whoever has the newest format goes on with all of it.
    static func isServedOn(_ store: some Store) async throws {
        let owner = Owner(host: "alpha", epoch: "life-2")
        let claimed = try await store.claimWaiting(limits: ["mint": 9], owner: owner, now: .at(20))
        #expect(claimed.map(\.id.value).sorted() == [3, 5, 10])
        #expect(claimed.allSatisfy { $0.fence > 7 })
        #expect(claimed.first(where: { $0.id.value == 5 })?.attempt == 2)
        #expect(try await store.claimFires([.candles(5)], owner: owner, now: .at(20)).compactMap { $0 }.isEmpty, "a due time twice")
        #expect(try await store.claimFires([.candles(6)], owner: owner, now: .at(20)).compactMap { $0 }.count == 1)
        var same = NewRun.mint()
        same.uniqueKey = "sale-1"
        #expect(try await store.enqueue([same], now: .at(20)).map(\.inserted) == [false])
        let drained = try await store.drainInbox(jobs: ["mint": InboxRule()], limit: 9, now: .at(20))
        #expect(drained.runs.map(\.payload) == [#"{"asset": 1}"#] && drained.runs.allSatisfy { $0.id.value > 12 })
        for (fence, isTaken) in [(Int64(5), false), (6, true), (6, false)] {
            let end = Completion(run: RunID(9), fence: fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(21))
            #expect(try await store.complete([end], now: .at(21)) == [isTaken])
        }
        #expect(try await store.attempts(of: RunID(5)).map(\.attempt) == [1])
        #expect(try await store.stateBlob(job: "candles")?.bytes == [1, 0, 255])
        #expect(try await store.jobStates()["mint"]?.control.reason == "broken")
        #expect(try await store.audit(AuditFilter(limit: 9)).map(\.action) == ["disable"])
    }

    // MARK: Rows

    private static func run(
        _ id: Int64, _ job: String, _ trigger: String, _ state: String, _ outcome: String?, fire: Int64, waitsUntil: Int64? = nil,
        began: Int64? = nil, ended: Int64? = nil, attempt: Int64 = 0, fence: Int64 = 0, key: String? = nil, retryOf: Int64? = nil
    ) -> String {
        func text(_ text: String?) -> String { text.map { "'\($0)'" } ?? "NULL" }
        func number(_ number: Int64?) -> String { number.map { String($0) } ?? "NULL" }
        let available: Int64 = at(waitsUntil ?? fire)
        let rank: Int64 = available - 2 * Rank.perPriority
        let lease: Int64? = state == "running" ? at(fire + 90) : nil
        let owner = fence == 0 ? "" : fence == 6 ? "beta" : "alpha"
        let epoch = fence == 0 ? "" : "life-1"
        let times = [number(at(fire)), number(available), number(rank), number(at(fire)), number(began.map(at)), number(ended.map(at)), number(lease)]
        let claim = [number(attempt), "4", "2", number(fence), text(owner), text(epoch), "41", "'ab'", "7"]
        let result = [text("why \(id)"), "3", "9", "12345"]
        let rest = [text(key), text("\(job)-\(id)"), number(retryOf), text("{\"asset\": \(id)}")]
        let values: [String] = [number(id), text(job), text(trigger), text(state), text(outcome)] + times + claim + result + rest
        return "(" + values.joined(separator: ", ") + ")"
    }

    private static let columns = """
        id, job, trigger, state, outcome, fire_time, available_at, rank, created_at, started_at, finished_at, lease_until, attempt,
        max_attempts, priority, fence, owner, epoch, pid, library_hash, generation, reason, code, items, cpu_us, unique_key,
        idempotency_key, retry_of, payload
        """
    private static let rows: [String] = [
        run(1, "candles", "schedule", "succeeded", "succeeded", fire: 1, began: 1, ended: 2, attempt: 1, fence: 1),
        run(2, "candles", "catch_up", "running", nil, fire: 5, began: 5, attempt: 1, fence: 2),
        run(3, "mint", "enqueued", "available", nil, fire: 6, key: "sale-1"),
        run(4, "mint", "enqueued", "scheduled", nil, fire: 6, waitsUntil: 3_600),
        run(5, "mint", "manual", "retryable", "retry", fire: 6, waitsUntil: 10, began: 7, attempt: 1, fence: 3),
        run(6, "mint", "enqueued", "discarded", "failed", fire: 6, began: 7, ended: 8, attempt: 1, fence: 4),
        run(7, "mint", "backfill", "cancelled", "cancelled", fire: 6, ended: 8, attempt: 1, fence: 5),
        run(8, "mint", "enqueued", "skipped", nil, fire: 6, ended: 8),
        run(9, "mint", "start", "running", nil, fire: 7, began: 7, attempt: 1, fence: 6),
        run(10, "mint", "retry_of", "available", nil, fire: 9, retryOf: 6),
        run(11, "mint", "after", "missed", nil, fire: 6, ended: 9),
        run(12, "mint", "enqueued", "succeeded", "nothing_to_do", fire: 6, began: 7, ended: 9, attempt: 1, fence: 7),
    ]
    private static let runs = "INSERT INTO runs (\(columns)) VALUES \(rows.joined(separator: ", "));\n"

    /// As both dialects write it.
    private static func common(bytes: String) -> String {
        var breaker = Breaker(policy: BreakerPolicy())
        _ = breaker.forceOpen(until: nil, reason: "gateway", now: .at(8))
        let milliseconds = at(8) / 1_000
        return """
            INSERT INTO attempts VALUES (5, 1, 'retry', \(at(7)), \(at(8)), 41, 'ab', 'not yet', 3);
            INSERT INTO ledger_ranges (job, reason, first, last, count) VALUES ('candles', 'overlap', \(at(2)), \(at(4)), 3);
            INSERT INTO job_states (job, cursor, schedule, adaptive_us, last_finished, last_outcome) VALUES
                ('candles', \(at(5)), 'every 1s', 250000, \(at(2)), 'succeeded'), ('mint', NULL, '', NULL, \(at(9)), 'nothing_to_do');
            INSERT INTO breakers (job, generation, data, updated_at) VALUES ('mint', 4, '\(breaker.encoded)', \(at(8)));
            INSERT INTO state_blobs (job, version, bytes, updated_at) VALUES ('candles', 2, \(bytes), \(at(2)));
            INSERT INTO audit (at, actor, via, reason, action, job, detail) VALUES (\(at(8)), 'ops', 'cli', 'broken', 'disable', 'mint', 'é');
            INSERT INTO workers VALUES ('alpha', 41, 77, 'boot', 'mint');
            INSERT INTO enqueue_inbox (job, payload, priority, created_at_ms) VALUES ('mint', '{"asset": 1}', 3, \(milliseconds));
            INSERT INTO enqueue_inbox (job, payload, created_at_ms, refused) VALUES ('mnt', NULL, \(milliseconds), 'there is no job "mnt"');

            """
    }

    private static let asks = """
        INSERT INTO asks (job, action, command, asked_by, reason, asked_at, decided_by) VALUES
            ('mint', 'discard run 6', '{}', 'ops', 'paid by hand', \(at(9)), '');
        """
    private static let rateTakes = "INSERT INTO rate_takes VALUES ('calls', \(at(9)), 3);"
    private static let idempotent = "UPDATE runs SET idempotent = id % 2;"
    private static let expiry = """
        UPDATE runs SET expires_at = \(at(7_200)) WHERE id = 4;
        UPDATE enqueue_inbox SET expires_at_ms = \(at(7_200) / 1_000) WHERE job = 'mnt';
        """

    private static let firstOfPostgres = """
        SELECT setval('run_ids', 12), setval('fences', 7);
        INSERT INTO counters (job, name, host, value) VALUES ('candles', 'succeeded', 'alpha', 1), ('mint', 'retry', 'alpha', 1),
            ('mint', 'failed', 'alpha', 1), ('mint', 'discarded', 'alpha', 1), ('mint', 'cancelled', 'alpha', 1),
            ('mint', 'nothing_to_do', 'beta', 1);
        INSERT INTO controls VALUES ('mint', 0, 'broken', \(at(8)), 1, 'deploy', \(at(9)));
        INSERT INTO accepted_libraries VALUES ('alpha', 'mint', 'ab', '/copies/ab', \(at(1)));
        INSERT INTO reloads (host, generation, at, accepted, report) VALUES ('alpha', 7, \(at(1)), 1, '{}');
        INSERT INTO hosts (name, epoch, place, lease_until, seen_at, skew_us) VALUES ('beta', 'life-1', 'there', \(at(90)), \(at(9)), 12);
        """
    private static let severalHosts = """
        UPDATE hosts SET drained = 1, drain_reason = 'kernel', labels = 'eu';
        UPDATE runs SET cancel_wanted = 'wrong one' WHERE id = 2;
        UPDATE state_blobs SET fence = 1;
        INSERT INTO definitions VALUES ('beta', 'mint', 'cd', 'ab');
        """
    private static let jobEnds = "INSERT INTO job_ends VALUES ('candles', 'alpha', \(at(2)), 'succeeded');"
    private static let postgres: [String] = [
        runs + common(bytes: #"'\x0100ff'"#) + firstOfPostgres, asks, severalHosts, rateTakes, idempotent, jobEnds, expiry,
    ]

    private static let firstOfSQLite = """
        UPDATE sequences SET value = CASE name WHEN 'run' THEN 12 ELSE 7 END;
        INSERT INTO counters (job, name, value) VALUES ('candles', 'succeeded', 1), ('mint', 'retry', 1), ('mint', 'failed', 1),
            ('mint', 'discarded', 1), ('mint', 'cancelled', 1), ('mint', 'nothing_to_do', 1);
        INSERT INTO controls (job, enabled, paused, reason, since) VALUES ('mint', 0, 0, 'broken', \(at(8)));
        INSERT INTO accepted_libraries VALUES ('mint', 'ab', '/copies/ab', \(at(1)));
        INSERT INTO reloads (generation, at, accepted, report) VALUES (7, \(at(1)), 1, '{}');
        """
    private static let pauses = "UPDATE controls SET paused = 1, pause_reason = 'deploy', paused_since = \(at(9));"
    private static let sqlite: [String] = [
        runs + common(bytes: "X'0100ff'") + firstOfSQLite, pauses, asks, rateTakes, idempotent, expiry,
    ]
}
