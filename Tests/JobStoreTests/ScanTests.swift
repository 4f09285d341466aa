import JobCore
import PostgresTestKit
import SQL
import Synchronization
import Testing

@testable import JobStore

/// What the host asks at its start and every few seconds costs what waits and runs, not what the ledger keeps.
struct ScanTests {
    /// Indexes of rows that have not ended, or are few.
    private static let small = ["runs_ready", "runs_ready_since", "runs_later", "runs_running", "runs_dead", "runs_expiring", "runs_ended"]

    private final class Asked: Sendable {
        private let texts = Mutex<Set<String>>([])
        func hear(_ point: SQLFaultPoint) {
            if case .before(let text) = point { texts.withLock { _ = $0.insert(text) } }
        }
        func take() -> [String] { texts.withLock { texts in defer { texts = [] }; return texts.sorted() } }
    }

    @Test("No question of a start or of the housekeeping walks through the ledger")
    func questions() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            _ = try await store.claimFires([.candles(1)], owner: TemporaryStore.owner, now: .at(0))
            _ = try await store.enqueue([.mint()], now: .at(0))
            await store.close()

            let (asked, connection) = (Asked(), try file.otherProgram())
            connection.faultPoint = { asked.hear($0) }
            let ledger = SQLiteLedger(connection: connection)
            let life = Owner(host: "alpha", epoch: "life-2")
            _ = try ledger.orphans(host: nil, currentEpoch: life.epoch)
            _ = try ledger.waitingFires(upTo: .at(10))
            _ = try ledger.queueDepths(now: .at(10))
            _ = try ledger.nextWaiting()
            _ = try ledger.nextExpiry()
            var ended = RunFilter()
            ended.endedAfter = .at(9)
            _ = try ledger.runs(ended)
            _ = try ledger.expireWaiting(limit: 10, now: .at(10))
            _ = try ledger.claimWaiting(["mint": WaitingLimit(most: 1)], owner: life, now: .at(10))
            try ledger.renewLeases(owner: life, for: .seconds(60), now: .at(10))
            connection.faultPoint = nil
            let questions = asked.take().filter { $0.contains("runs") }
            #expect(questions.count >= 15, "\(questions)")
            for question in questions {
                let unbound = Array(repeating: SQLValue.null, count: question.count { $0 == "?" })
                let steps = try connection.rows("EXPLAIN QUERY PLAN " + question, unbound) { try $0.text(3) }
                #expect(!steps.isEmpty)
                for step in steps where step.hasPrefix("SCAN runs") {
                    #expect(Self.small.contains { step.hasSuffix("INDEX \($0)") }, "\(step): \(question)")
                }
            }
        }
    }

    @Test("A page of what did not run is read by an index, of one job and of all")
    func ranges() async throws {
        try await TemporaryStore.use { file in
            await (try file.open()).close()
            let (asked, connection) = (Asked(), try file.otherProgram())
            connection.faultPoint = { asked.hear($0) }
            let ledger = SQLiteLedger(connection: connection)
            for job in [nil, "mint"] {
                for place in [nil, RangePlace(last: .at(9), id: 7)] {
                    _ = try ledger.ranges(job: job, from: nil, to: nil, before: place, limit: 10)
                }
            }
            connection.faultPoint = nil
            let questions = asked.take()
            #expect(questions.count == 4, "\(questions)")
            for question in questions {
                let unbound = Array(repeating: SQLValue.null, count: question.count { $0 == "?" })
                let steps = try connection.rows("EXPLAIN QUERY PLAN " + question, unbound) { try $0.text(3) }
                #expect(steps.count == 1 && steps.allSatisfy { $0.hasPrefix("SEARCH ledger_ranges USING INDEX") }, "\(steps): \(question)")
            }
        }
    }

    // MARK: Long ago

    private static let window = (from: Instant.at(100), to: Instant.at(200))

    /// One range in each second since the window's begin, three jobs in turn: nearly all ended after it.
    private func fill(_ connection: some SQLConnection) throws {
        let first = "\(Self.window.from.microseconds) + i * 1000000"
        try connection.execute("""
            INSERT INTO ledger_ranges (job, reason, first, last, count)
                WITH RECURSIVE n(i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                SELECT 'job' || (i % 3), 'paused', \(first), \(first) + 2, 2 FROM n;
            ANALYZE ledger_ranges
            """)
    }

    private func askLongAgo(_ ledger: some Ledger) throws {
        for job in [nil, "job1"] {
            for place in [nil, RangePlace(last: .at(150), id: 7)] {
                let page = try ledger.ranges(job: job, from: Self.window.from, to: Self.window.to, before: place, limit: 1_000)
                #expect(page.ranges.count == (place == nil ? job == nil ? 99 : 33 : job == nil ? 49 : 17))
            }
        }
    }

    @Test("What did not run on a day long ago is looked for between its two ends, not among all that ended since")
    func rangesLongAgo() async throws {
        try await TemporaryStore.use { file in
            await (try file.open()).close()
            let (asked, connection) = (Asked(), try file.otherProgram())
            try fill(connection)
            connection.faultPoint = { asked.hear($0) }
            try askLongAgo(SQLiteLedger(connection: connection))
            connection.faultPoint = nil
            let questions = asked.take()
            for question in questions {
                let unbound = Array(repeating: SQLValue.null, count: question.count { $0 == "?" })
                let steps = try connection.rows("EXPLAIN QUERY PLAN " + question, unbound) { try $0.text(3) }
                #expect(!steps.contains { step in ["ledger_ranges", "g", "r"].contains { "\(step) ".hasPrefix("SCAN \($0) ") } }, "\(steps): \(question)")
                guard question.contains("ORDER BY last DESC") else { continue }
                #expect(steps.count == 1 && (steps[0].contains("last>? AND last<?") || question.contains("(last, id) <")), "\(steps): \(question)")
            }
            #expect(questions.count { $0.contains("ORDER BY last DESC") } == 4, "\(questions)")
        }
    }

    @Test("So it is on PostgreSQL: what is looked at is what is asked for, and a thousand that say how far away it is", .enabled(if: TestPostgres.url != nil))
    func rangesLongAgoOnPostgres() async throws {
        try await TemporaryPostgres.use { store, schema in
            let filler = try TemporaryPostgres.connect(schema)
            defer { filler.close() }
            try fill(filler)
            // What a connection has looked at before is counted with it.
            let connection = try TemporaryPostgres.connect(schema)
            defer { connection.close() }
            let ledger = PostgresLedger(
                connection: connection, schema: schema.name, host: "alpha", session: PostgresMembership(notifies: false, listens: false))
            let lookedAt = try connection.transaction(.deferred) {
                try askLongAgo(ledger)
                return try connection.first("""
                    SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE schemaname = ? AND relname = 'ledger_ranges'
                    """, [.text(schema.name)]) { [try $0.int64(0), try $0.int64(1)] }
            }
            let answers: Int64 = 99 + 33 + 49 + 17, far: Int64 = 2 * (RangeQuestion.near + 1)
            #expect(lookedAt?.first == 0 && lookedAt?.last ?? .max <= answers + far + 50, "\(String(describing: lookedAt))")
            try connection.execute("DELETE FROM ledger_ranges")
        }
    }
}
