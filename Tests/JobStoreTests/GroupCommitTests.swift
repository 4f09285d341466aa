import Glibc
import JobCore
import SQL
import Synchronization
import Testing

@testable import JobStore

/// One writer, one sync for all that wait; readers beside it.
@Suite struct Threads {
    /// Holds a thread until opened.
    private final class Gate: Sendable {
        private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t>
        init() {
            semaphore = .allocate(capacity: 1)
            sem_init(semaphore, 0, 0)
        }
        deinit {
            sem_destroy(semaphore)
            semaphore.deallocate()
        }
        func wait() { sem_wait(semaphore) }
        func open() { sem_post(semaphore) }
    }

    private final class Commits: Sendable {
        private let count = Mutex(0)
        func see(_ point: SQLFaultPoint) {
            if point == .after("COMMIT") { count.withLock { $0 += 1 } }
        }
        var number: Int { count.withLock { $0 } }
    }

    @Test("A claim behind an enqueue that has said that something waits asks nothing first", .timeLimit(.minutes(5)))
    func claimsWithoutAQuestion() async throws {
        try await TemporaryStore.use { file in
            let (store, gate) = (try await file.open(), Gate())
            let (holds, hold) = AsyncStream.makeStream(of: Void.self)
            async let question: Void = store.ask { _ in
                hold.finish()
                gate.wait()
            }
            for await _ in holds {}
            try await withTaskCancellationHandler {
                _ = try await store.enqueue([.mint()], now: .at(0))
                #expect(try await store.claimWaiting(limits: ["mint": 9], owner: TemporaryStore.owner, now: .at(0)).count == 1)
            } onCancel: { gate.open() }
            gate.open()
            try await question
            // Of what is due later it has not said so.
            var later = NewRun.mint()
            later.fireTime = .at(60)
            _ = try await store.enqueue([later], now: .at(0))
            #expect(!store.moreWaits.take())
            await store.close()
        }
    }

    @Test func whatWaitsIsOneCommitAndAFaultIsItsOwnCallersOnly() async throws {
        try await TemporaryStore.use { file in
            let commits = Commits()
            let store = try await file.open { $0.faultPoint = { commits.see($0) } }
            let before = commits.number
            let gate = Gate()
            // The first call holds the writer; the others gather behind it and are one group.
            let (holds, hold) = AsyncStream.makeStream(of: Void.self)
            store.submit({ _ in
                hold.finish()
                gate.wait()
            }, completion: { _ in })
            for await _ in holds {}
            let results = try await withThrowingTaskGroup(of: (Int, Bool).self) { group in
                for index in 0..<10 {
                    let answers = AsyncStream<Result<Int, StoreError>> { continuation in
                        store.submit({ ledger in
                            let runs = try ledger.enqueue([.mint()], now: .at(0))
                            if index == 4 { throw StoreError(.notFound, "four") }
                            if index == 7 { try ledger.connection.run("INSERT INTO nowhere VALUES (1)") }
                            return runs.count
                        }, completion: { continuation.yield($0); continuation.finish() })
                    }
                    group.addTask {
                        for await answer in answers { return (index, (try? answer.get()) == 1) }
                        return (index, false)
                    }
                }
                gate.open()
                return try await group.reduce(into: [Int: Bool]()) { $0[$1.0] = $1.1 }
            }
            #expect(results.filter { !$0.value }.keys.sorted() == [4, 7])
            #expect(try await store.queueDepths(now: .at(0))["mint"]?.waiting == 8)
            #expect(commits.number - before == 2)
            await store.close()
        }
    }

    @Test func aLongListingDelaysNoClaim() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let held = Gate()
            let (started, start) = AsyncStream.makeStream(of: Void.self)
            async let listing = store.list { ledger in
                let rows = try ledger.runs(RunFilter()).count
                start.finish()
                held.wait()
                return try rows + ledger.runs(RunFilter()).count
            }
            for await _ in started {}
            let runs = try await store.claimFires([.candles(1)], owner: TemporaryStore.owner, now: .at(1))
            #expect(runs.compactMap { $0 }.count == 1)
            #expect(try await store.run(RunID(1))?.state == .running)
            held.open()
            // Both of its looks saw the same snapshot.
            #expect(try await listing == 0)
            await store.close()
        }
    }

    @Test func thousandsOfCallersAreAllAnswered() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let ids = try await withThrowingTaskGroup(of: RunID?.self) { group in
                for _ in 0..<2_000 {
                    group.addTask { try await store.enqueue([.mint()], now: .at(0)).first?.run.id }
                }
                return try await group.reduce(into: Set<RunID>()) { if let id = $1 { $0.insert(id) } }
            }
            #expect(ids.count == 2_000)
            await store.close()
        }
    }

    @Test func theLogDoesNotGrowWithoutEnd() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            var sizes: [Int64] = []
            for _ in 0..<12 {
                _ = try await store.enqueue((0..<3_000).map { _ in .mint(bytes: 100) }, now: .at(0))
                // A further write: the writer has asked for its checkpoint before taking it. A
                // further listing: that checkpoint stood before it in the line.
                try await store.write { _ in }
                try await store.list { _ in }
                var information = stat()
                #expect(stat(file.path + "-wal", &information) == 0)
                sizes.append(Int64(information.st_size))
            }
            let largest = try #require(sizes.max())
            // Twelve rounds fit where two or three do.
            #expect(largest < 5 * sizes[0], "\(sizes)")
            await store.close()
        }
    }
}
