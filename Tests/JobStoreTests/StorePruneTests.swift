import JobCore
import JobStore
import PostgresTestKit
import SQL
import StoreSuite
import Synchronization
import Testing

@Suite struct StorePruneTests {
    private static let actor = Actor(name: "ops (uid 1000)", via: "cli")

    /// Runs of "candles" that end at 1, 2, … `count` hours, and one that runs; of "gone" one that ended at 1.
    private static func history(_ upkept: Upkept, _ count: Int64) async throws {
        for hour in 1...count + 1 {
            var claim = FireClaim.candles(hour * 3_600)
            claim.expectedCursor = hour == 1 ? nil : .at((hour - 1) * 3_600)
            let run = try #require(try await upkept.store.claimFires([claim], owner: TemporaryStore.owner, now: claim.fireTime).first ?? nil)
            if hour <= count { try await upkept.end(run, .succeeded, .succeeded, at: hour * 3_600) }
        }
        var gone = NewRun.mint()
        gone.job = "gone"
        gone.maxAttempts = 2
        _ = try await upkept.store.enqueue([gone, .mint()], now: .at(0))
        let run = try #require(try await upkept.store.claimWaiting(limits: ["gone": 1], owner: TemporaryStore.owner, now: .at(1)).first)
        var retry = Completion(run: run.id, fence: run.fence, outcome: .retry, state: .retryable, finishedAt: .at(1))
        retry.availableAt = .at(2)
        #expect(try await upkept.store.complete([retry], now: .at(1)) == [true])
        let again = try #require(try await upkept.store.claimWaiting(limits: ["gone": 1], owner: TemporaryStore.owner, now: .at(2)).first)
        try await upkept.end(again, .failed, .discarded, at: 3)
    }

    @Test("By retention: what is told beforehand is what goes, in batches, beside a host that has the store open", arguments: TestPostgres.dialects)
    func byRetention(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect, filled: false) { upkept in
            try await Self.history(upkept, 9)
            let now = Instant.at(10 * 3_600)
            // Older than four hours, or beyond the newest eight: 1 … 5.
            let rules = ["candles": RetentionRule(age: .seconds(4 * 3_600), runs: 8), "mint": RetentionRule(age: .seconds(1), runs: 0)]
            let request = StorePrune.Request(rules: .byJob(rules), host: "alpha", batch: 2)
            let survey = try await StorePrune.survey(upkept.place, request, now: now)
            #expect(survey.shares.map(\.job) == ["candles"])
            #expect(survey.shares.first?.runs == 5)
            #expect(survey.shares.first?.oldest == .at(3_600))
            #expect(survey.shares.first?.newest == .at(5 * 3_600))
            #expect(survey.unruled == ["gone": 1])
            #expect(try upkept.number("SELECT count(*) FROM runs") == 12, "a survey changes nothing")

            let batches = Mutex<[[Int64]]>([])
            let report = try await StorePrune.run(upkept.place, request, by: Self.actor, now: now) { runs in
                batches.withLock { $0.append(runs.map(\.run.value)) }
                return true
            }
            #expect(batches.withLock { $0 } == [[1, 2], [3, 4], [5]])
            #expect(report.shares == survey.shares)
            #expect(!report.isUnfinished)
            #expect(try await upkept.store.runs(RunFilter(job: "candles")).map(\.id.value) == [10, 9, 8, 7, 6])
            #expect(try await upkept.store.counters()["candles"] == ["succeeded": 9])
            #expect(try await upkept.store.runs(RunFilter(job: "mint")).count == 1, "what waits stays")
            let audit = try #require(try await upkept.store.audit(AuditFilter(limit: 1)).first)
            #expect(audit.action == "prune" && audit.actor == Self.actor && audit.detail == "5 runs and 0 ranges of 1 jobs")
            #expect(try await StorePrune.survey(upkept.place, request, now: now).shares.isEmpty)
            #expect(try await StoreCheck.run(upkept.place, isServed: false, now: now).level == .ok)
        }
    }

    @Test("By age: of every job, also of those without a rule, with their attempts; ranges but the open one", arguments: TestPostgres.dialects)
    func byAge(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect, filled: false) { upkept in
            try await Self.history(upkept, 2)
            func move(_ from: Int64, _ to: Int64, _ reason: NoRunReason) async throws {
                let range = FireRange(reason: reason, first: .at(from + 1), last: .at(to), count: to - from)
                let move = CursorMove(job: "candles", expectedCursor: .at(from), newCursor: .at(to), scheduleText: "every 1s", ranges: [range])
                #expect(try await upkept.store.moveCursors([move], now: .at(to)) == [true])
            }
            try await move(3 * 3_600, 3 * 3_600 + 9, .paused)
            try await move(3 * 3_600 + 9, 3 * 3_600 + 20, .overlap)
            var request = StorePrune.Request(rules: .olderThan(.seconds(3_600)), host: "alpha")
            let now = Instant.at(100 * 3_600)
            let all = try await StorePrune.survey(upkept.place, request, now: now)
            #expect(all.shares.map { [$0.runs, $0.attempts, $0.ranges] } == [[2, 0, 1], [1, 1, 0]])
            #expect(all.unruled.isEmpty)
            request.job = "gone"
            let report = try await StorePrune.run(upkept.place, request, by: Self.actor, now: now) { _ in true }
            #expect(report.shares.map(\.job) == ["gone"])
            #expect(try upkept.number("SELECT count(*) FROM attempts") == 0)
            #expect(try upkept.number("SELECT count(*) FROM ledger_ranges") == 2)
            request.job = nil
            #expect(try await StorePrune.run(upkept.place, request, by: Self.actor, now: now) { _ in true }.shares.map { [$0.runs, $0.ranges] } == [[2, 1]])
            #expect(try await upkept.store.ranges(job: nil, from: nil, to: nil, limit: 9).map(\.reason) == [.overlap], "the schedule goes on with it")
            #expect(try await StoreCheck.run(upkept.place, isServed: false, now: now).level == .ok)
        }
    }

    @Test("Stopped, it ends after a batch and says so", arguments: TestPostgres.dialects)
    func stopped(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect, filled: false) { upkept in
            try await Self.history(upkept, 5)
            let request = StorePrune.Request(rules: .olderThan(.seconds(1)), host: "alpha", batch: 2)
            let report = try await StorePrune.run(upkept.place, request, by: Self.actor, now: .at(360_000)) { _ in false }
            #expect(report.isUnfinished)
            #expect(report.shares.map(\.runs) == [2])
            #expect(try upkept.number("SELECT count(*) FROM runs WHERE job = 'candles'") == 4)
        }
    }

    @Test("What a host writes meanwhile is not held up", arguments: TestPostgres.dialects)
    func besideAHost(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect, filled: false) { upkept in
            _ = try await upkept.store.enqueue((0..<400).map { _ in .mint() }, now: .at(0))
            let claims = try await upkept.store.claimWaiting(limits: ["mint": 400], owner: TemporaryStore.owner, now: .at(1))
            let ends = claims.map { Completion(run: $0.id, fence: $0.fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(2)) }
            #expect(try await upkept.store.complete(ends, now: .at(2)).allSatisfy { $0 })
            async let enqueued = {
                var count = 0
                for _ in 0..<100 { count += try await upkept.store.enqueue([.mint()], now: .at(3)).count }
                return count
            }()
            let request = StorePrune.Request(rules: .olderThan(.seconds(1)), host: "alpha", batch: 10)
            let report = try await StorePrune.run(upkept.place, request, by: Self.actor, now: .at(60)) { _ in true }
            #expect(report.shares.map(\.runs) == [400])
            #expect(try await enqueued == 100)
            #expect(try upkept.number("SELECT count(*) FROM runs") == 100)
        }
    }

    @Test("A store of another format is left alone", arguments: TestPostgres.dialects)
    func older(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect) { upkept in
            try upkept.execute(dialect == .sqlite ? "PRAGMA user_version = 1" : "DELETE FROM schema_migrations WHERE version > 1")
            do {
                _ = try await StorePrune.run(upkept.place, StorePrune.Request(rules: .olderThan(.seconds(1)), host: "alpha"), by: Self.actor, now: .at(99)) { _ in true }
                Issue.record("pruned")
            } catch let error as StoreError { #expect(error.kind == .incompatible) }
        }
    }

    @Test(.enabled(if: TestPostgres.url != nil)) func runsOfOtherLivingHostsAreLeftToThem() async throws {
        try await Upkept.use(.postgresql, filled: false) { upkept in
            try await Self.history(upkept, 3)
            try upkept.execute("""
                INSERT INTO hosts (name, epoch, place, lease_until, seen_at, skew_us)
                VALUES ('alpha', 'life-1', '', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 60000000, 0, 0)
                """)
            let elsewhere = StorePrune.Request(rules: .olderThan(.seconds(1)), job: "candles", host: "beta")
            let report = try await StorePrune.run(upkept.place, elsewhere, by: Self.actor, now: .at(360_000)) { _ in true }
            #expect(report.shares.isEmpty && report.elsewhere == 3)
            let here = StorePrune.Request(rules: .olderThan(.seconds(1)), job: "candles", host: "alpha")
            #expect(try await StorePrune.run(upkept.place, here, by: Self.actor, now: .at(360_000)) { _ in true }.shares.map(\.runs) == [3])
        }
    }

    @Test("A host lets refused rows of the inbox go after thirty days, and those behind 10,000 newer ones; what waits stays", arguments: TestPostgres.dialects)
    func refusals(dialect: SQLDialect) async throws {
        func day(_ number: Int64) -> Instant { .at(number * 86_400) }
        try await Upkept.use(dialect, filled: false) { upkept in
            try upkept.execute("""
                INSERT INTO enqueue_inbox (job, refused, created_at_ms)
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10002) SELECT 'mint', 'no', \(day(40).milliseconds) FROM n
                """)
            for refused in ["'no'", "NULL"] {
                try upkept.execute("INSERT INTO enqueue_inbox (job, refused, created_at_ms) VALUES ('mint', \(refused), \(day(1).milliseconds))")
            }
            #expect(try await upkept.store.prune(retention: [:], limit: 1_000, now: day(31)).isEmpty)
            #expect(try upkept.number("SELECT count(*) FROM enqueue_inbox WHERE refused IS NOT NULL") == 10_000)
            _ = try await upkept.store.prune(retention: [:], limit: 1_000, now: day(32))
            #expect(try upkept.number("SELECT count(*) FROM enqueue_inbox WHERE refused IS NOT NULL AND id > 3") == 9_999)
            _ = try await upkept.store.prune(retention: [:], limit: 1_000, now: day(71))
            #expect(try upkept.number("SELECT count(*) FROM enqueue_inbox WHERE refused IS NOT NULL") == 8_999)
            #expect(try upkept.number("SELECT count(*) FROM enqueue_inbox WHERE refused IS NULL") == 1)
        }
    }
}
