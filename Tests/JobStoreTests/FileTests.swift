import Glibc
import JobCore
import SQL
import StoreSuite
import Testing

@testable import JobStore

/// What the store takes for its file, and what it leaves alone.
@Suite struct StoreFiles {
    private func refusal(_ file: TemporaryStore) async -> StoreError? {
        await #expect(throws: StoreError.self) { _ = try await file.open() }
    }

    @Test func aStoreIsFoundAgain() async throws {
        try await TemporaryStore.use { file in
            let first = try await file.open()
            let run = try await first.enqueue([.mint()], now: .at(0))
            await first.close()
            let second = try await file.open()
            #expect(try await second.runs(RunFilter()) == run.map(\.run))
            // Numbers go on where they were.
            #expect(try await second.enqueue([.mint()], now: .at(0)).map(\.run.id.value) == [2])
            await second.close()
        }
    }

    @Test func aRunWhoseAuditCannotBeKeptIsNotEnqueued() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let refusal = "CREATE TRIGGER refused BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'the audit is full'); END"
            try file.otherProgram().execute(refusal)
            let error = await #expect(throws: StoreError.self) {
                try await store.enqueue([.mint()], now: .at(0)) { _ in AuditRow(at: .at(0), actor: .system, action: "enqueue") }
            }
            #expect(error?.message.contains("the audit is full") == true)
            #expect(try await store.runs(RunFilter()).isEmpty)
            await store.close()
        }
    }

    @Test func theFileSaysWhatItIs() async throws {
        try await TemporaryStore.use { file in
            await (try file.open()).close()
            let db = try file.otherProgram()
            #expect(try db.first("PRAGMA application_id") { try $0.int64(0) } == 0x6A6F6268)
            #expect(try db.first("PRAGMA user_version") { try $0.int64(0) } == 8)
            #expect(try db.rows("SELECT version FROM schema_migrations") { try $0.int64(0) } == [1, 2, 3, 4, 5, 6, 7, 8])
            #expect(try db.first("PRAGMA journal_mode") { try $0.text(0) } == "wal")
        }
    }

    @Test func anotherProgramsFileIsRefusedAndUntouched() async throws {
        try await TemporaryStore.use { file in
            let theirs = try SQLiteConnection(path: file.path)
            try theirs.execute("CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (1)")
            let error = try #require(await refusal(file))
            #expect(error.kind == .incompatible)
            #expect(error.message.contains("is a database of another program"))
            #expect(try theirs.first("PRAGMA journal_mode") { try $0.text(0) } == "delete")
            #expect(try theirs.rows("SELECT name FROM sqlite_schema") { try $0.text(0) } == ["orders"])
        }
    }

    @Test func aNewerFormatIsRefused() async throws {
        try await TemporaryStore.use { file in
            await (try file.open()).close()
            try file.otherProgram().execute("PRAGMA user_version = 9")
            let error = try #require(await refusal(file))
            #expect(error.kind == .incompatible)
            #expect(error.message == "\(file.path) has format 9 and this program knows formats up to 8: it was written by a newer version")
        }
    }

    @Test func aTextFileIsRefused() async throws {
        try await TemporaryStore.use { file in
            let handle = try #require(fopen(file.path, "w"))
            fputs(String(repeating: "this is no database\n", count: 100), handle)
            fclose(handle)
            let error = try #require(await refusal(file))
            #expect(error.kind == .incompatible)
        }
    }

    @Test func aMissingFolderIsNamed() async throws {
        let error = await #expect(throws: StoreError.self) {
            _ = try await SQLiteStore.open(path: "/nonexistent/var/jobhost.db")
        }
        #expect(error?.kind == .unavailable)
        #expect(error?.message.contains("/nonexistent/var/jobhost.db") == true)
    }

    @Test func aFileOfTheFirstVersionKeepsItsPausesAndSwitches() throws {
        let db = try SQLiteConnection(path: ":memory:")
        try Migrations.apply([Migrations.all[0]], to: db)
        try db.execute("""
            INSERT INTO controls (job, enabled, paused, reason, since) VALUES
                ('off', 0, 0, 'broken', 1), ('paused', NULL, 1, 'deploy', 2), ('both', 0, 1, 'newest', 3)
            """)
        try Migrations.apply(to: db)
        let controls = try SQLiteLedger(connection: db).jobStates().mapValues(\.control)
        func at(_ instant: Int64) -> Instant { Instant(microseconds: instant) }
        #expect(controls["off"] == ControlRow(enabled: false, reason: "broken", since: at(1)))
        #expect(controls["paused"] == ControlRow(paused: true, pauseReason: "deploy", pausedSince: at(2)))
        #expect(
            controls["both"]
                == ControlRow(
                    enabled: false, reason: "newest", since: at(3), paused: true, pauseReason: "newest", pausedSince: at(3)))
    }

    /// By literal instants: never more than the rate in any span, and as many as it allows.
    @Test func aRateIsKeptInEverySpanAndUsedUp() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            _ = try await store.enqueue((0..<400).map { _ in .mint() }, now: .at(0))
            let limit = ["mint": WaitingLimit(most: 2, rate: RateLimit(runs: 7, per: .seconds(10)))]
            var claimed: [Instant] = []
            for tick in 0..<4_000 {
                let now = Instant.at(0) + .milliseconds(tick * 25)
                claimed += try await store.claimWaiting(limit, owner: TemporaryStore.owner, now: now).runs.map { _ in now }
            }
            // Seven at once, then seven each time ten seconds have passed (and the grid's 10 ms).
            #expect(claimed.count == 70)
            for i in 0..<claimed.count - 7 { #expect(claimed[i + 7] - claimed[i] >= .seconds(10)) }
            #expect(try file.otherProgram().first("SELECT count(*) FROM rate_takes") { try $0.int64(0) } ?? 9 <= 8)
            // A clock that is set back by an hour holds the job up for one span, not for an hour.
            var late = NewRun.mint()
            late.fireTime = .at(-7_200)
            _ = try await store.enqueue([late], now: .at(-3_600))
            #expect(try await store.claimWaiting(limit, owner: TemporaryStore.owner, now: .at(-3_600)).runs.count == 1)
            await store.close()
        }
    }

    /// What is given back is what was taken for it, be it older or newer than the rest.
    @Test func aClaimGivenBackFreesItsOwnPlaceInTheSpan() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            _ = try await store.enqueue((0..<9).map { _ in .mint() }, now: .at(0))
            func claim(_ second: Int64) async throws -> [ClaimedRun] {
                let limit = ["mint": WaitingLimit(most: 1, rate: RateLimit(runs: 2, per: .seconds(60)))]
                return try await store.claimWaiting(limit, owner: TemporaryStore.owner, now: .at(second)).runs
            }
            let older = try await claim(1)
            let newer = try await claim(31)
            try await store.releaseClaims(older.map(\.held), owner: TemporaryStore.owner, now: .at(40))
            #expect(try await claim(41).count == 1)
            #expect(try await claim(62).isEmpty, "began at 31 and 41")
            try await store.releaseClaims(newer.map(\.held), owner: TemporaryStore.owner, now: .at(63))
            #expect(try await claim(64).count == 1)
            #expect(try await claim(92).isEmpty, "began at 41 and 64")
            #expect(try await claim(102).count == 1)
            await store.close()
        }
    }

    @Test func lookingIntoAStoreChangesNothing() async throws {
        try await TemporaryStore.use { file in
            #expect(try StoreInspection.read(path: file.path, now: .at(0)).format == .absent)
            do {
                let old = try SQLiteConnection(path: file.path)
                try Migrations.apply([Migrations.all[0]], to: old)
                old.close()
            }
            let before = try Data.of(file.path)
            #expect(try StoreInspection.read(path: file.path, now: .at(0)).format == .older(1, known: 8))
            #expect(try Data.of(file.path) == before, "an older format is left as it is")
            try file.otherProgram().execute("PRAGMA user_version = 9")
            #expect(try StoreInspection.read(path: file.path, now: .at(0)).format == .newer(9, known: 8))
            try file.otherProgram().execute("PRAGMA application_id = 5")
            #expect(try StoreInspection.read(path: file.path, now: .at(0)).format == .foreign)
        }
    }

    @Test func aStoreInUseTellsWhatWaitsForSomebody() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            _ = try await store.enqueue([.mint()], now: .at(0))
            try await store.saveBreaker(job: "mint", "x", by: .system, action: "breaker open", now: .at(0))
            try await store.saveAcceptedLibrary(AcceptedLibrary(plugin: "p", sha256: "ab", path: "/copies/ab", acceptedAt: .at(0)))
            let seen = try StoreInspection.read(path: file.path, now: .at(60))
            #expect(seen.format == .current(8))
            #expect(seen.depths["mint"]?.waiting == 1 && seen.depths["mint"]?.oldestWaiting == .at(0))
            #expect(seen.breakers == ["mint": BreakerRow(generation: 2, data: "x")])
            #expect(seen.accepted.map(\.path) == ["/copies/ab"])
            await store.close()
            #expect(try StoreInspection.read(path: file.path, now: .at(60)).depths["mint"]?.waiting == 1, "and of a host that is down")
        }
    }

    @Test func aFailingMigrationLeavesTheVersionBefore() throws {
        let db = try SQLiteConnection(path: ":memory:")
        let first = Migration(version: 1, name: "one", script: "CREATE TABLE a (x INTEGER)")
        try Migrations.apply([first], to: db)
        let bad = Migration(version: 2, name: "two", script: "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1)")
        #expect(throws: SQLError.self) { try Migrations.apply([first, bad], to: db) }
        #expect(try db.first("PRAGMA user_version") { try $0.int64(0) } == 1)
        #expect(try db.first("SELECT count(*) FROM sqlite_schema WHERE name = 'b'") { try $0.int64(0) } == 0)
        let good = Migration(version: 2, name: "two", script: "CREATE TABLE b (x INTEGER)")
        let third = Migration(version: 3, name: "three", script: "INSERT INTO b VALUES (3)")
        try Migrations.apply([third, good, first], to: db)
        try Migrations.apply([first, good, third], to: db)
        #expect(try db.rows("SELECT name FROM schema_migrations ORDER BY version") { try $0.text(0) } == ["one", "two", "three"])
        #expect(try db.rows("SELECT x FROM b") { try $0.int64(0) } == [3])
    }

    @Test("From every earlier format, full of rows and cut at every statement of the next step: before it or after it, and every row is what it was, and served on", arguments: 1..<Migrations.all.count)
    func rowsOfEarlierFormats(version from: Int) async throws {
        try await TemporaryStore.use { file in
            let first = try SQLiteConnection(path: file.path)
            try Migrations.apply(Array(Migrations.all.prefix(from)), to: first)
            let before = try EarlierStore.fill(first, version: from)
            first.close()
            var (cut, reachedTheEnd, versions) = (0, false, Set<Int64>())
            while !reachedTheEnd {
                let connection = try SQLiteConnection(path: file.path)
                var seen = 0
                connection.faultPoint = { [unowned connection] _ in
                    if seen == cut { connection.close() }
                    seen += 1
                }
                do {
                    try Migrations.apply(Array(Migrations.all.prefix(from + 1)), to: connection)
                    reachedTheEnd = true
                } catch let error as SQLError {
                    #expect(error.kind == .closed)
                }
                connection.close()
                let other = try file.otherProgram()
                let record = try other.rows("SELECT version FROM schema_migrations ORDER BY version") { try $0.int64(0) }
                #expect(try other.first("PRAGMA user_version") { try $0.int64(0) } == record.last)
                #expect(try before.again(other) == before.rows)
                versions.insert(Int64(record.count))
                other.close()
                cut += 1
            }
            // Look, begin, script, record, version, commit.
            #expect(cut > 8 && versions == [Int64(from), Int64(from) + 1], "\(cut) \(versions)")

            let store = try await file.open()
            #expect(try before.again(file.otherProgram()) == before.rows)
            try await EarlierStore.isServedOn(store)
            await store.close()
            #expect(try LedgerCheck.violations(in: file.path) == [])
        }
    }

    @Test func openingAndClosingLeavesNothingBehind() async throws {
        let result = await #expect(processExitsWith: .success) {
            func held() -> Int {
                ["/proc/self/fd", "/proc/self/task"].reduce(0) { sum, folder in
                    guard let entries = opendir(folder) else { return sum }
                    defer { closedir(entries) }
                    var count = 0
                    while readdir(entries) != nil { count += 1 }
                    return sum + count
                }
            }
            try await TemporaryStore.use { file in
                await (try file.open()).close()
                let before = held()
                for _ in 0..<20 {
                    let store = try await file.open()
                    _ = try await store.enqueue([.mint()], now: .at(0))
                    await store.close()
                }
                // A thread is counted until the kernel has reaped it; the cooperative pool may
                // have grown by its few.
                let limit = ContinuousClock.now + .seconds(240)
                while held() > before + 4 {
                    guard ContinuousClock.now < limit else { exit(EXIT_FAILURE) }
                    await Task.yield()
                }
            }
        }
        #expect(result != nil)
    }
}

/// A file's bytes.
private enum Data {
    static func of(_ path: String) throws -> [UInt8] {
        let handle = try #require(fopen(path, "r"))
        defer { fclose(handle) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, handle)
        return Array(bytes[..<count])
    }
}
