import Glibc
import JobCore
import SQL
import StoreSuite
import Synchronization
import Testing

@testable import JobStore

/// The environment refuses: nothing is lost, nobody hangs, and it works again afterwards.
@Suite struct Faults {
    private func expectUnavailable(_ call: () async throws -> Void) async -> String {
        do {
            try await call()
            Issue.record("nothing was thrown")
        } catch let error as StoreError where error.kind == .unavailable {
            return error.message
        } catch {
            Issue.record("\(error)")
        }
        return ""
    }

    @Test func lockedByAnotherProgram() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open { $0.busyTimeoutMilliseconds = 20 }
            let other = try file.otherProgram()
            try other.execute("BEGIN IMMEDIATE")
            let message = await expectUnavailable { _ = try await store.enqueue([.mint()], now: .at(0)) }
            #expect(message.hasPrefix("the store is locked by another program: "))
            // Readers see the state before, whoever writes.
            #expect(try await store.runs(RunFilter()).isEmpty)
            try other.execute("COMMIT")
            #expect(try await store.enqueue([.mint()], now: .at(0)).count == 1)
            await store.close()
        }
    }

    @Test func aFullDisk() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open { $0.maxPages = 200 }
            var kept: [RunID] = []
            let message = await expectUnavailable {
                while kept.count < 1_000 { kept += try await store.enqueue([.mint(bytes: 20_000)], now: .at(0)).map(\.run.id) }
            }
            #expect(message.hasPrefix("the disk of the store is full: "))
            #expect(kept.count > 10)
            #expect(try await store.queueDepths(now: .at(0))["mint"]?.waiting == Int64(kept.count))
            #expect(try await store.runs(RunFilter()).count == kept.count)
            // Somebody makes room.
            try file.otherProgram().execute("DELETE FROM runs WHERE id <= 3")
            #expect(try await store.enqueue([.mint(bytes: 20_000)], now: .at(9)).count == 1)
            await store.close()
            #expect(try LedgerCheck.violations(in: file.path) == [])
        }
    }

    @Test func theFileIsTakenAwayAndPutBack() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            _ = try await store.enqueue([.mint()], now: .at(0))
            rename(file.path, file.path + ".away")
            let message = await expectUnavailable { _ = try await store.enqueue([.mint()], now: .at(0)) }
            #expect(message.contains("has gone"))
            _ = await expectUnavailable { _ = try await store.runs(RunFilter()) }
            rename(file.path + ".away", file.path)
            _ = try await store.enqueue([.mint()], now: .at(0))
            #expect(try await store.runs(RunFilter()).map(\.id.value) == [2, 1])
            await store.close()
        }
    }

    @Test func theLogIsDeletedWhileOpen() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            _ = try await store.enqueue([.mint()], now: .at(0))
            unlink(file.path + "-wal")
            _ = try await store.enqueue([.mint()], now: .at(0))
            await store.close()
            let again = try await file.open()
            #expect(try await again.runs(RunFilter()).map(\.id.value) == [2, 1])
            await again.close()
            #expect(try LedgerCheck.violations(in: file.path) == [])
        }
    }

    @Test func aFileThatMayNotBeWritten() async throws {
        try await TemporaryStore.use { file in
            await (try file.open()).close()
            let path = file.path
            let folder = file.folder
            let result = await #expect(processExitsWith: .success) { [path = path as String, folder = folder as String] in
                chmod(path, 0o444)
                chmod(folder, 0o555)
                // Root may write everything; be nobody.
                if geteuid() == 0 { setuid(65_534) }
                do {
                    _ = try await SQLiteStore.open(path: path)
                } catch let error as StoreError where error.kind == .unavailable && error.message.contains("cannot be written") {
                    exit(EXIT_SUCCESS)
                }
                exit(EXIT_FAILURE)
            }
            #expect(result != nil)
            chmod(folder, 0o755)
            chmod(path, 0o644)
            let store = try await file.open()
            _ = try await store.enqueue([.mint()], now: .at(0))
            await store.close()
        }
    }

    /// SIGKILL at each boundary of the statements that make a claim and its completion.
    @Test(arguments: Array(stride(from: 1, through: 41, by: 2)))
    func killedAtAnyStatement(boundary: Int) async throws {
        try await TemporaryStore.use { file in
            await (try file.open()).close()
            let path = file.path
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, boundary = boundary as Int] in
                let armed = Countdown()
                var options = SQLiteStoreOptions()
                options.faultPoint = { _ in armed.step() }
                let store = try await SQLiteStore.open(path: path, options: options)
                armed.start(boundary)
                let runs = try await store.claimFires([.candles(1)], owner: TemporaryStore.owner, now: .at(1))
                let run = try #require(runs.first ?? nil)
                var end = Completion(run: run.id, fence: run.fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(2))
                end.enqueues = [.mint()]
                _ = try await store.complete([end], now: .at(2))
                kill(getpid(), SIGKILL)
            }
            #expect(try LedgerCheck.violations(in: path) == [])
            let store = try await file.open()
            let rows = try await store.runs(RunFilter(job: "candles"))
            let mints = try await store.runs(RunFilter(job: "mint"))
            let cursor = try await store.jobStates()["candles"]?.cursor
            // Cursor and row are one; the completion and what it enqueued are one.
            #expect((cursor == .at(1)) == (rows.count == 1))
            #expect((rows.first?.state == .succeeded) == (mints.count == 1))
            await store.close()
        }
    }
}

/// Ends the process at the n-th step after `start`.
private final class Countdown: Sendable {
    private let left = Mutex<Int?>(nil)

    func start(_ steps: Int) { left.withLock { $0 = steps } }
    func step() {
        let zero = left.withLock { left -> Bool in
            left = left.map { $0 - 1 }
            return left == 0
        }
        if zero { kill(getpid(), SIGKILL) }
    }
}
