import JobCore
import PostgresTestKit
import SQL
import StoreSuite
import Testing

@testable import JobStore

/// A store in a schema of its own, gone afterwards.
enum TemporaryPostgres {
    static func use(
        _ change: (inout PostgresStoreOptions) -> Void = { _ in },
        _ body: (PostgresStore, TestPostgres.Schema) async throws -> Void
    ) async throws {
        try await TestPostgres.use { schema in
            let store = try await open(schema, change)
            do {
                try await body(store, schema)
            } catch {
                await store.close()
                throw error
            }
            await store.close()
            #expect(try LedgerCheck.violations(inPostgreSQL: schema.server, schema: schema.name) == [])
        }
    }

    static func open(
        _ schema: TestPostgres.Schema, host: String = "alpha", _ change: (inout PostgresStoreOptions) -> Void = { _ in }
    ) async throws -> PostgresStore {
        var options = PostgresStoreOptions()
        options.schema = schema.name
        change(&options)
        return try await PostgresStore.open(url: schema.server, host: host, options: options)
    }

    static func connect(_ schema: TestPostgres.Schema) throws -> PostgresConnection {
        try PostgresConnection(PostgresAddress(schema.url))
    }

    /// Returns when somebody waits for a lock that `connection` holds.
    static func somebodyWaits(for connection: PostgresConnection) async throws {
        let question = "SELECT count(*) FROM pg_locks l WHERE NOT l.granted AND pg_backend_pid() = ANY (pg_blocking_pids(l.pid))"
        while try connection.first(question, [], { try $0.int64(0) }) == 0 {
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    /// The first answer that is not "unavailable": what is asked until a connection that was cut is there again.
    static func retrying<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        while true {
            do {
                return try await body()
            } catch let error as StoreError where error.kind == .unavailable {
                try Task.checkCancellation()
                await Task.yield()
            }
        }
    }
}

@Suite(.serialized, .enabled(if: TestPostgres.url != nil)) struct RulesOnPostgreSQL {
    @Test(arguments: StoreSuite.rules)
    func rule(_ rule: StoreSuite.Rule) async throws {
        try await TemporaryPostgres.use { store, schema in
            do {
                try await rule.check(StoreSuite(store: store))
            } catch let broken as BrokenRule {
                Issue.record("\(rule): \(broken)")
            }
            #expect(try await Upkept.broken(.postgres(url: schema.server, schema: schema.name, prepared: true)) == [])
        }
    }

    /// Behind pgbouncer each transaction may be another connection's.
    @Test(.enabled(if: TestPostgres.pooler != nil), arguments: StoreSuite.rules)
    func ruleBehindATransactionPooler(_ rule: StoreSuite.Rule) async throws {
        try await TestPostgres.use { schema in
            var options = PostgresStoreOptions()
            options.schema = schema.name
            options.prepared = false
            options.listenURL = schema.server
            let store = try await PostgresStore.open(url: TestPostgres.pooler ?? "", host: "alpha", options: options)
            do {
                try await rule.check(StoreSuite(store: store))
            } catch let broken as BrokenRule {
                Issue.record("\(rule): \(broken)")
            }
            await store.close()
            #expect(try LedgerCheck.violations(inPostgreSQL: schema.server, schema: schema.name) == [])
            #expect(try await Upkept.broken(.postgres(url: TestPostgres.pooler ?? "", schema: schema.name, prepared: false)) == [])
        }
    }
}

@Suite(.serialized, .enabled(if: TestPostgres.url != nil)) struct ManyHosts {
    private static let owners = (0..<5).map { Owner(host: "host-\($0)", epoch: "life-1") }

    @Test func fiveStoresShareEveryFireAndNoFireIsMadeTwice() async throws {
        try await TemporaryPostgres.use { first, schema in
            var stores = [first]
            for index in 1..<5 { stores.append(try await TemporaryPostgres.open(schema, host: "host-\(index)")) }
            let all = stores
            let made = try await withThrowingTaskGroup(of: Int.self) { group in
                for (store, owner) in zip(all, Self.owners) {
                    group.addTask {
                        var won = 0
                        for second in 1...20 as ClosedRange<Int64> {
                            let claims = (0..<20).map { job in
                                FireClaim(
                                    job: "job-\(job)", fireTime: .at(second), trigger: .schedule, leaseUntil: .at(second + 60),
                                    expectedCursor: second == 1 ? nil : .at(second - 1), newCursor: .at(second),
                                    scheduleText: "every 1s")
                            }
                            // Each host names the jobs in an order of its own.
                            let turned = Array(claims[(won % 20)...] + claims[..<(won % 20)])
                            won += try await store.claimFires(turned, owner: owner, now: .at(second)).compactMap { $0 }.count
                        }
                        return won
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(made == 400)
            let connection = try TemporaryPostgres.connect(schema)
            defer { connection.close() }
            let count = try connection.first("SELECT count(*), count(DISTINCT (job, fire_time)), count(DISTINCT fence) FROM runs") {
                [try $0.int64(0), try $0.int64(1), try $0.int64(2)]
            }
            #expect(count == [Int64(made), Int64(made), Int64(made)])
            #expect(try connection.first("SELECT count(*) FROM job_states") { try $0.int64(0) } == 20)
            for store in stores.dropFirst() { await store.close() }
        }
    }

    @Test func countersOfAllHostsAreSummed() async throws {
        try await TemporaryPostgres.use { first, schema in
            let second = try await TemporaryPostgres.open(schema, host: "beta")
            for (store, owner) in [(first, Self.owners[0]), (second, Self.owners[1])] {
                _ = try await store.enqueue([.mint()], now: .at(0))
                let run = try #require(try await store.claimWaiting(limits: ["mint": 1], owner: owner, now: .at(1)).first)
                let end = Completion(run: run.id, fence: run.fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(2))
                #expect(try await store.complete([end], now: .at(2)) == [true])
            }
            #expect(try await first.counters() == ["mint": ["succeeded": 2]])
            await second.close()
        }
    }

    @Test func eachHostHasItsOwnLibrariesAndReloads() async throws {
        try await TemporaryPostgres.use { first, schema in
            let second = try await TemporaryPostgres.open(schema, host: "beta")
            let library = AcceptedLibrary(plugin: "mint", sha256: "aa", path: "/here", acceptedAt: .at(1))
            try await first.saveAcceptedLibrary(library)
            try await first.saveReload(ReloadRow(generation: 7, at: .at(1), accepted: true, report: "{}"))
            #expect(try await first.acceptedLibraries() == [library])
            #expect(try await second.acceptedLibraries() == [])
            #expect(try await second.reloads(limit: 1) == [])
            await second.close()
        }
    }
}

@Suite(.serialized, .enabled(if: TestPostgres.url != nil)) struct Doors {
    @Test func anApplicationEnqueuesInItsOwnTransaction() async throws {
        try await TemporaryPostgres.use { store, schema in
            let application = try TemporaryPostgres.connect(schema)
            defer { application.close() }
            struct Refusal: Error {}
            try? application.transaction(.rowLocks) {
                try application.run("SELECT enqueue('mint', '{\"asset\": 1}')")
                throw Refusal()
            }
            #expect(try await store.drainInbox(jobs: ["mint": InboxRule()], limit: 10, now: .at(0)).runs == [])
            try application.transaction(.rowLocks) {
                try application.run("SELECT enqueue('mint', '{\"asset\": 2}', unique_key => 'a-2', priority => 3)")
                try application.run("SELECT enqueue('mint', '{\"asset\": 3}', unique_key => 'a-2')")
            }
            let result = try await store.drainInbox(jobs: ["mint": InboxRule(maxAttempts: 4)], limit: 10, now: .at(0))
            #expect(result.runs.map(\.payload) == [#"{"asset": 2}"#])
            #expect(result.runs.first?.priority == 3)
            #expect(result.runs.first?.maxAttempts == 4)
            #expect(try application.first("SELECT count(*) FROM enqueue_inbox") { try $0.int64(0) } == 0)
            #expect(try application.first("SELECT enqueue_many('mint', ARRAY['1', '2', '3'])") { try $0.int64(0) } == 3)
            #expect(try await store.drainInbox(jobs: ["mint": InboxRule()], limit: 10, now: .at(0)).runs.map(\.payload) == ["1", "2", "3"])
        }
    }

    @Test(arguments: [
        ("'{\"asset\": '", "22P02"), ("repeat('1', 262145)", "22023"), ("repeat('[', 200000)", "54001"),
        ("'\"a' || chr(1) || '\"'", "22P02"),
    ])
    func aPayloadThatIsNoneIsRefusedAndNothingIsStored(payload: String, state: String) async throws {
        try await TemporaryPostgres.use { _, schema in
            let application = try TemporaryPostgres.connect(schema)
            defer { application.close() }
            let error = #expect(throws: SQLError.self) { try application.run("SELECT enqueue('mint', \(payload))") }
            #expect(error?.sqlState == state)
            #expect(try application.first("SELECT count(*) FROM enqueue_inbox") { try $0.int64(0) } == 0)
        }
    }

    @Test func aRowThatNoHostCanUseStaysWithTheReason() async throws {
        try await TemporaryPostgres.use { store, schema in
            let application = try TemporaryPostgres.connect(schema)
            defer { application.close() }
            try application.run("SELECT enqueue('mnt', '1')")
            let result = try await store.drainInbox(jobs: ["mint": InboxRule()], limit: 10, now: .at(0))
            #expect(result.refused.map(\.reason) == ["there is no job \"mnt\""])
            #expect(try application.first("SELECT refused FROM enqueue_inbox") { try $0.text(0) } == "there is no job \"mnt\"")
        }
    }
}

@Suite(.serialized, .enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(5))) struct PostgresFaults {
    /// The server's processes of the store's connections.
    private func backends(_ connection: PostgresConnection, host: String) throws -> [Int64] {
        try connection.rows("SELECT pid FROM pg_stat_activity WHERE application_name = ?", [.text("jobhost \(host)")]) {
            try $0.int64(0)
        }
    }

    @Test func cutConnectionsAreUnavailableForAMomentAndLoseNothing() async throws {
        try await TestPostgres.use { schema in
            let host = "cut-\(schema.name)"
            let store = try await TemporaryPostgres.open(schema, host: host)
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            var fires: Int64 = 0
            for round in 1...10 as ClosedRange<Int64> {
                for pid in try backends(other, host: host) { try other.run("SELECT pg_terminate_backend(?)", [.int(pid)]) }
                do {
                    let runs = try await store.claimFires([.candles(round)], owner: TemporaryStore.owner, now: .at(round))
                    #expect(runs.compactMap { $0 }.count == 1)
                } catch let error as StoreError {
                    #expect(error.kind == .unavailable)
                    let runs = try await TemporaryPostgres.retrying {
                        try await store.claimFires([.candles(round)], owner: TemporaryStore.owner, now: .at(round))
                    }
                    // Either the cut one was committed, or this one is.
                    #expect(runs.count == 1)
                }
                fires += 1
                #expect(try await TemporaryPostgres.retrying { try await store.jobStates()["candles"]?.cursor } == .at(round))
            }
            #expect(try other.first("SELECT count(*) FROM runs") { try $0.int64(0) } == fires)
            await store.close()
        }
    }

    @Test("What only reads is asked again where its connection was cut: nobody hears of that", arguments: [true, false])
    func readsOfCutConnections(prepared: Bool) async throws {
        try await TestPostgres.use { schema in
            let host = "read-\(schema.name)"
            let store = try await TemporaryPostgres.open(schema, host: host) {
                ($0.prepared, $0.notify) = (prepared, false)
            }
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            let run = try await store.enqueue([.mint()], now: .at(0))[0].run
            // One statement alone, and from a snapshot; on the thread of short questions, and on the one of long ones.
            let questions: [@Sendable () async throws -> Bool] = [
                { try await store.jobsInInbox().isEmpty }, { try await store.progress(of: run.id) == nil },
                { try await store.expireWaiting(limit: 5, now: .at(1)).isEmpty },
                { try await store.claimWaiting(limits: ["none": 1], owner: TemporaryStore.owner, now: .at(-5)).isEmpty },
                { try await store.run(run.id)?.id == run.id }, { try await store.runs(RunFilter()).map(\.id) == [run.id] },
            ]
            for question in questions {
                // Those of this store alone: a connection that is being made then would be cut too.
                for pid in try backends(other, host: host) {
                    #expect(try other.first("SELECT pg_terminate_backend(?, 5000)", [.int(pid)]) { try $0.bool(0) } == true)
                }
                #expect(try await question())
            }
            await store.close()
        }
    }

    @Test func aFaultOfOneCallInAGroupIsNotTheOthers() async throws {
        try await TemporaryPostgres.use { store, _ in
            async let good = store.enqueue([.mint()], now: .at(0))
            async let bad: RunRecord = store.retry(RunID(999), by: .system, now: .at(0))
            async let alsoGood = store.enqueue([.mint()], now: .at(0))
            #expect(try await good.count + alsoGood.count == 2)
            do {
                _ = try await bad
                Issue.record("a run that is not there was retried")
            } catch let error as StoreError {
                #expect(error.kind == .notFound)
            }
        }
    }

    @Test func aServerThatIsNotThereIsASentenceWithoutThePassword() async throws {
        do {
            _ = try await PostgresStore.open(url: "postgresql://ops:s3cret-word@127.0.0.1:1/back", host: "alpha")
            Issue.record("opened")
        } catch let error as StoreError {
            #expect(error.kind == .unavailable)
            #expect(error.message.contains("postgresql://ops@127.0.0.1:1/back"))
            #expect(!error.message.contains("s3cret"))
        }
    }

    @Test func aServerThatIsAwayIsNotAskedAtEveryCall() {
        var pace = ReconnectPace()
        let start = MonotonicInstant(microseconds: 0)
        #expect(!pace.isTooEarly(start))
        pace.failed(start)
        #expect(pace.isTooEarly(start + .milliseconds(49)))
        #expect(!pace.isTooEarly(start + .milliseconds(50)))
        for _ in 0..<20 { pace.failed(start) }
        #expect(pace.isTooEarly(start + .milliseconds(1_999)))
        #expect(!pace.isTooEarly(start + .seconds(2)))
    }
}

@Suite(.serialized, .enabled(if: TestPostgres.url != nil)) struct PostgresFormats {
    private func version(_ connection: PostgresConnection) throws -> [Int64] {
        try connection.rows("SELECT version FROM schema_migrations ORDER BY version") { try $0.int64(0) }
    }

    @Test func twoHostsThatMakeTheSchemaAtOnceMakeItOnce() async throws {
        try await TestPostgres.use { schema in
            let stores = try await withThrowingTaskGroup(of: PostgresStore.self) { group in
                for index in 0..<6 { group.addTask { try await TemporaryPostgres.open(schema, host: "host-\(index)") } }
                return try await group.reduce(into: [PostgresStore]()) { $0.append($1) }
            }
            for store in stores { await store.close() }
            let connection = try TemporaryPostgres.connect(schema)
            defer { connection.close() }
            #expect(try version(connection) == PostgresMigrations.all.map(\.version))
        }
    }

    /// What the schema is, down to columns, indexes, functions and recorded versions.
    private func shape(_ connection: PostgresConnection, _ schema: TestPostgres.Schema) throws -> [String] {
        let objects = try connection.rows("""
            SELECT concat_ws(' ', c.relkind, c.relname, a.attname, a.atttypid::regtype, a.attnotnull, pg_get_indexdef(i.indexrelid), c.reloptions)
            FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = ?1::regnamespace
            UNION ALL SELECT concat_ws(' ', p.oid::regprocedure, p.prosrc) FROM pg_proc p WHERE p.pronamespace = ?1::regnamespace
            UNION ALL SELECT concat_ws(' ', o.conname, pg_get_constraintdef(o.oid)) FROM pg_constraint o WHERE o.connamespace = ?1::regnamespace
            ORDER BY 1
            """, [.text(schema.name)]) { try $0.text(0) }
        return try objects + (objects.isEmpty ? [] : version(connection).map { "version \($0)" })
    }

    /// A step may read all of a long history.
    @Test func aMigrationMayTakeLongerThanAStatement() async throws {
        try await TestPostgres.use { schema in
            var options = PostgresOptions()
            options.statementTimeoutMilliseconds = 500
            let connection = try PostgresConnection(PostgresAddress(schema.url), options: options)
            defer { connection.close() }
            #expect(throws: SQLError.self) { try connection.execute("SELECT pg_sleep(1)") }
            try PostgresMigrations.apply([Migration(version: 1, name: "slow", script: "SELECT pg_sleep(1)")], to: connection, schema: schema.name)
            #expect(try version(connection) == [1])
            // Of other statements the limit stands.
            #expect(throws: SQLError.self) { try connection.execute("SELECT pg_sleep(1)") }
        }
    }

    /// From every earlier version, full of rows, the host that migrates dies at every statement of the next step in turn;
    /// and two hosts that begin at once go all the way. Every row is what it was, and served on.
    ///
    /// That is as much as cutting every step from every version: a step is a transaction of its own, which asks for the
    /// version that is there and knows nothing of those before it. What a cut leaves is the whole shape of before or the
    /// whole shape of after, each of them a version, and from each version two hosts go on.
    @Test(arguments: 0..<PostgresMigrations.all.count)
    func aMigrationCutAtAnyStatementIsBeforeOrAfterIt(version from: Int) async throws {
        let steps = Array(PostgresMigrations.all.prefix(from + 1))
        try await TestPostgres.use { schema in
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            let before = try earlier(steps, other, schema)
            var shapes = [try shape(other, schema)]
            var cut = 0
            var reachedTheEnd = false
            while !reachedTheEnd {
                let connection = try TemporaryPostgres.connect(schema)
                var seen = 0
                connection.faultPoint = { [unowned connection] _ in
                    if seen == cut { connection.close() }
                    seen += 1
                }
                do {
                    try PostgresMigrations.apply(steps, to: connection, schema: schema.name)
                    reachedTheEnd = true
                } catch let error as SQLError {
                    #expect(error.kind == .closed)
                }
                connection.close()
                // Then its transaction has ended on the server too.
                try other.transaction(.rowLocks) { try other.run("SELECT pg_advisory_xact_lock(?)", [.int(PostgresMigrations.lock)]) }
                let left = try shape(other, schema)
                if left != shapes.last { shapes.append(left) }
                #expect(try before?.again(other) == before?.rows)
                cut += 1
            }
            // Begin, lock, look, script, record, commit.
            #expect(cut > 5, "\(cut)")
            // Before the first step there is another: the table of the versions.
            #expect(shapes.count == (from == 0 ? 3 : 2))
            #expect(try version(other) == steps.map(\.version))
        }
        try await TestPostgres.use { schema in
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            let before = try earlier(steps, other, schema)
            async let alpha = TemporaryPostgres.open(schema, host: "alpha")
            async let beta = TemporaryPostgres.open(schema, host: "beta")
            let stores = try await [alpha, beta]
            #expect(try version(other) == PostgresMigrations.all.map(\.version))
            #expect(try before?.again(other) == before?.rows)
            if before != nil { try await EarlierStore.isServedOn(stores[0]) }
            for store in stores { await store.close() }
            #expect(try LedgerCheck.violations(inPostgreSQL: schema.server, schema: schema.name) == [])
        }
    }

    /// The schema before the last of the `steps`, filled; nil: there is none.
    private func earlier(_ steps: [Migration], _ connection: PostgresConnection, _ schema: TestPostgres.Schema) throws -> FormatContents? {
        guard steps.count > 1 else { return nil }
        try PostgresMigrations.apply(Array(steps.dropLast()), to: connection, schema: schema.name)
        return try EarlierStore.fill(connection, version: steps.count - 1)
    }

    @Test func aSchemaOfAnotherProgramOrANewerVersionIsRefused() async throws {
        try await TestPostgres.use { schema in
            let connection = try TemporaryPostgres.connect(schema)
            defer { connection.close() }
            try connection.execute("CREATE TABLE customers (id bigint)")
            let foreign = #expect(throws: StoreError.self) { try PostgresMigrations.apply(to: connection, schema: schema.name) }
            #expect(foreign?.kind == .incompatible)
            #expect(foreign?.message.contains("tables of another program") == true)
            try connection.execute("DROP TABLE customers")
            try PostgresMigrations.apply(to: connection, schema: schema.name)
            try connection.run("INSERT INTO schema_migrations (version, name) VALUES (999, 'later')")
            let newer = #expect(throws: StoreError.self) { try PostgresMigrations.apply(to: connection, schema: schema.name) }
            #expect(newer?.kind == .incompatible)
            #expect(newer?.message.contains("upgrade this host") == true)
        }
    }
}
