import Glibc
import JobCore
import PostgresTestKit
import SQL
import Testing

@testable import JobStore

/// What the store costs a server that keeps a long history, and how it holds its connections.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(5))) struct PostgresCosts {
    private static let ended: Int64 = 20_000
    private static let owner = Owner(host: "alpha", epoch: "life-1")

    /// So many runs of two jobs, all of which have ended.
    private func fill(_ connection: PostgresConnection) throws {
        let fire = "\(Instant.at(0).microseconds) + i::bigint * 1000000"
        try connection.execute("""
            INSERT INTO runs (id, job, trigger, state, outcome, fire_time, available_at, rank, created_at, started_at, finished_at,
                attempt, max_attempts, priority, fence, owner, epoch, idempotency_key)
            SELECT nextval('run_ids'), CASE i % 2 WHEN 0 THEN 'mint' ELSE 'candles' END, 'enqueued', 'succeeded', 'succeeded',
                \(fire), \(fire), \(fire), \(fire), \(fire), \(fire), 1, 1, 0, nextval('fences'), 'alpha', 'life-0', 'k' || i
            FROM generate_series(1, \(Self.ended)) i;
            ANALYZE runs
            """)
    }

    @Test("What a claim, an end and an enqueue look at does not grow with what has ended")
    func besideAHistory() async throws {
        try await TemporaryPostgres.use { store, schema in
            let filler = try TemporaryPostgres.connect(schema)
            defer { filler.close() }
            try fill(filler)
            // What a connection has looked at before is counted with it.
            let connection = try TemporaryPostgres.connect(schema)
            defer { connection.close() }
            let ledger = PostgresLedger(
                connection: connection, schema: schema.name, host: "alpha", session: PostgresMembership(notifies: false, listens: false))
            try filler.run("SELECT enqueue_many('mint', array_fill('{}'::text, ARRAY[5]))")
            let now = Instant.at(Self.ended + 10)
            let lookedAt = try connection.transaction(.rowLocks) {
                try ledger.lock([JobLocks(jobs: ["candles", "mint"])])
                var fire = FireClaim(
                    job: "candles", fireTime: now, trigger: .schedule, leaseUntil: now + .seconds(60), expectedCursor: nil, newCursor: now,
                    scheduleText: "every 1s")
                // So that it looks at what other hosts run.
                fire.room = 1
                #expect(try ledger.claimFires([fire], owner: Self.owner, now: now).compactMap { $0 }.count == 1)
                #expect(try ledger.enqueue(Array(repeating: NewRun.mint(), count: 5), now: now).count == 5)
                var late = NewRun.mint()
                late.fireTime = now
                _ = try ledger.enqueue([late], now: now)
                let limits = ["mint": WaitingLimit(most: 20, room: 20)]
                let runs = try ledger.claimWaiting(limits, taking: InboxTake(jobs: ["mint": InboxRule()], limit: 10), owner: Self.owner, now: now).runs
                #expect(runs.count == 11)
                let ends = runs.map { Completion(run: $0.id, fence: $0.fence, outcome: .succeeded, state: .succeeded, finishedAt: now) }
                #expect(try ledger.complete(ends, now: now) == ends.map { _ in true })
                _ = try ledger.nextWaiting()
                _ = try ledger.nextExpiry()
                return try connection.first("""
                    SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE schemaname = ? AND relname = 'runs'
                    """, [.text(schema.name)]) { [try $0.int64(0), try $0.int64(1)] }
            }
            #expect(lookedAt?.first == 0 && lookedAt?.last ?? .max <= 200, "\(String(describing: lookedAt))")
            try filler.execute("DELETE FROM runs")
        }
    }

    @Test("The server plans the claim of what came for one job a few times, not with each call: that took ten times what the statement takes")
    func plans() async throws {
        try await TemporaryPostgres.use { _, schema in
            let connection = try TemporaryPostgres.connect(schema)
            defer { connection.close() }
            let ledger = PostgresLedger(
                connection: connection, schema: schema.name, host: "alpha", session: PostgresMembership(notifies: false, listens: false))
            for round in 1...12 as ClosedRange<Int64> {
                try connection.run("SELECT enqueue('mint')")
                let now = Instant.at(round)
                try connection.transaction(.rowLocks) {
                    ledger.begin()
                    let limits = ["mint": WaitingLimit(most: 2, room: 2)]
                    let runs = try ledger.claimWaiting(limits, taking: InboxTake(jobs: ["mint": InboxRule()], limit: 10), owner: Self.owner, now: now).runs
                    #expect(runs.count == 1)
                    let ends = runs.map { Completion(run: $0.id, fence: $0.fence, outcome: .succeeded, state: .succeeded, finishedAt: now) }
                    _ = try ledger.complete(ends, now: now)
                    try ledger.finish()
                }
            }
            let planned = try connection.rows("""
                SELECT custom_plans, generic_plans FROM pg_prepared_statements
                WHERE statement LIKE '%OFFSET 0) o%NOT EXISTS%' AND NOT statement LIKE '%pg_prepared_statements%'
                """) { [try $0.int64(0), try $0.int64(1)] }
            #expect(planned == [[5, 7]])
        }
    }

    @Test("No row of a table sets off a trigger, but for the one foreign key")
    func triggers() async throws {
        try await TemporaryPostgres.use { _, schema in
            let connection = try TemporaryPostgres.connect(schema)
            defer { connection.close() }
            let found = try connection.rows("""
                SELECT DISTINCT c.relname || ' ' || coalesce(o.conname, t.tgname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                LEFT JOIN pg_constraint o ON o.oid = t.tgconstraint AND t.tgisinternal
                WHERE c.relnamespace = ?::regnamespace ORDER BY 1
                """, [.text(schema.name)]) { try $0.text(0) }
            #expect(found == ["attempts attempts_run_fkey", "runs attempts_run_fkey"])
            #expect(try connection.first("SELECT count(*) FROM pg_rules WHERE schemaname = ?", [.text(schema.name)]) { try $0.int64(0) } == 0)
        }
    }

    // MARK: Room

    @Test("What is pruned leaves its room to what comes: after five rounds of enqueueing, claiming, ending and pruning neither table nor indexes have half the size that these would have in all, and the hot ones hold nothing")
    func roomIsUsedAgain() async throws {
        try await TemporaryPostgres.use { store, schema in
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            var sizes: [[String: Int64]] = []
            for round in 0..<5 as Range<Int64> {
                let now = Instant.at(round * 100)
                for _ in 0..<4 {
                    var run = NewRun.mint(bytes: 100)
                    run.fireTime = now
                    _ = try await store.enqueue(Array(repeating: run, count: 500), now: now)
                    let runs = try await store.claimWaiting(limits: ["mint": 500], owner: Self.owner, now: now)
                    #expect(runs.count == 500)
                    let ends = runs.map { Completion(run: $0.id, fence: $0.fence, outcome: .succeeded, state: .succeeded, finishedAt: now) }
                    _ = try await store.complete(ends, now: now)
                }
                try await vacuum(other)
                sizes.append(try relations(other, schema))
                let rule = ["mint": RetentionRule(age: .seconds(86_400), runs: 100)]
                while try await !store.prune(retention: rule, limit: 1_000, now: now + .seconds(50)).isEmpty {}
                try await vacuum(other)
                #expect(try other.first("SELECT count(*) FROM runs") { try $0.int64(0) } == 100)
            }
            for (relation, size) in sizes[4] {
                // Half of what it would be if nothing were used again; beside other tests room is free for use a little late.
                let first = try #require(sizes[0][relation])
                #expect(size <= first * 5 / 2 + 16_384, "\(relation): \(sizes.map { $0[relation] ?? 0 })")
            }
            // Of those of what waits and runs a run is gone when it has ended.
            let left = try other.rows("""
                SELECT c.relname, c.reltuples::bigint FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = 'runs'::regclass AND pg_get_expr(i.indpred, i.indrelid) ~ 'state|finished_at IS NULL'
                """) { (try $0.text(0), try $0.int64(1)) }
            #expect(left.count == 8 && left.allSatisfy { $0.1 == 0 }, "\(left)")
        }
    }

    /// Until no snapshot of anybody's holds it back.
    private func vacuum(_ connection: PostgresConnection) async throws {
        var isDone = false
        while !isDone {
            try Task.checkCancellation()
            try connection.execute("VACUUM (ANALYZE) runs")
            let question = "SELECT relallvisible >= relpages FROM pg_class WHERE oid = 'runs'::regclass"
            isDone = try connection.first(question, [], { try $0.bool(0) }) ?? true
        }
    }

    private func relations(_ connection: PostgresConnection, _ schema: TestPostgres.Schema) throws -> [String: Int64] {
        let all = try connection.rows("""
            SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relnamespace = ?::regnamespace AND relname ~ '^runs'
            """, [.text(schema.name)]) { (try $0.text(0), try $0.int64(1)) }
        return Dictionary(uniqueKeysWithValues: all)
    }

    // MARK: Connections

    @Test("Each connection gives up a server that is gone within 15 s, as its socket says")
    func socketsEnd() async throws {
        try await TestPostgres.use { schema in
            let host = "sockets-\(schema.name)"
            let store = try await TemporaryPostgres.open(schema, host: host) { $0.notify = false }
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            let ports = Set(try other.rows("SELECT client_port FROM pg_stat_activity WHERE application_name = ?", [.text("jobhost \(host)")]) { try $0.int64(0) })
            let server = try #require(try other.first("SELECT inet_server_port()") { try $0.int64OrNil(0) } ?? nil)
            #expect(ports.count == 5)
            let found = sockets().filter { ports.contains(Int64($0.here)) && Int64($0.there) == server }
            #expect(found.count == 5)
            for socket in found {
                #expect(option(socket.descriptor, IPPROTO_TCP, Self.userTimeout) == 15_000)
                #expect(option(socket.descriptor, SOL_SOCKET, SO_KEEPALIVE) == 1)
                #expect(option(socket.descriptor, IPPROTO_TCP, Self.keepIdle) == 15)
            }
            await store.close()
        }
    }

    @Test("Each of a host's six connections has a thread of its own, by name, and none is left when the store is closed")
    func threadsEnd() async throws {
        try await TestPostgres.use { schema in
            let host = "threads-\(schema.name)"
            // In a process of its own, whose threads are this store's.
            let result = await #expect(processExitsWith: .success) { [schema = schema.name as String, server = schema.server as String, host = host as String] in
                let other = try PostgresConnection(PostgresAddress(server))
                defer { other.close() }
                var options = PostgresStoreOptions()
                options.schema = schema
                let store = try await PostgresStore.open(url: server, host: host, options: options)
                // Who listens connects by himself.
                let (heard, hears) = AsyncStream.makeStream(of: Void.self)
                store.listen { _ in hears.yield() }
                for await _ in heard { break }
                let question = "SELECT count(*) FROM pg_stat_activity WHERE application_name = ?"
                #expect(try other.first(question, [.text("jobhost \(host)")]) { try $0.int64(0) } == 5)
                #expect(PostgresCosts.storeThreads() == ["store-arrivals", "store-ask", "store-ends", "store-list", "store-listen", "store-write"])
                await store.close()
                // A thread is there until the kernel has reaped it.
                let limit = ContinuousClock.now + .seconds(240)
                while !PostgresCosts.storeThreads().isEmpty {
                    try #require(ContinuousClock.now < limit, "\(PostgresCosts.storeThreads())")
                    await Task.yield()
                }
            }
            #expect(result != nil)
        }
    }

    /// The names of this process's threads that are a store's, sorted.
    private static func storeThreads() -> [String] {
        guard let entries = opendir("/proc/self/task") else { return [] }
        defer { closedir(entries) }
        var names: [String] = []
        while let entry = readdir(entries) {
            let id = withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            guard let file = fopen("/proc/self/task/\(id)/comm", "r") else { continue }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 32)
            guard fgets(&line, 32, file) != nil else { continue }
            let name = String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if name.hasPrefix("store-") { names.append(name) }
        }
        return names.sorted()
    }

    /// As <netinet/tcp.h> names them: TCP_USER_TIMEOUT, TCP_KEEPIDLE.
    private static let (userTimeout, keepIdle) = (Int32(18), Int32(4))

    private func option(_ socket: Int32, _ level: some BinaryInteger, _ name: Int32) -> Int32? {
        var (value, size) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
        return getsockopt(socket, Int32(level), name, &value, &size) == 0 ? value : nil
    }

    /// This process's own, by the ports of their two ends.
    private func sockets() -> [(descriptor: Int32, here: UInt16, there: UInt16)] {
        (0..<4_096 as Range<Int32>).compactMap { descriptor in
            guard let here = port(descriptor, getsockname), let there = port(descriptor, getpeername) else { return nil }
            return (descriptor, here, there)
        }
    }

    private func port(
        _ socket: Int32, _ name: (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> Int32
    ) -> UInt16? {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { name(socket, $0, &size) }
        }
        return code == 0 && address.sin_family == sa_family_t(AF_INET) ? UInt16(bigEndian: address.sin_port) : nil
    }
}
