import Dispatch
import JobCore
import PostgresTestKit
import SQL
import StoreSuite
import Synchronization
import Testing

@testable import JobStore

/// A host that stops between two statements: a machine that stands still, a process under SIGSTOP.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil)) struct StandstillTests {
    /// Lets one thread stand still from the first lock of a job's row on.
    private final class Freeze: Sendable {
        private let isArmed = Mutex(false)
        let frozen = DispatchSemaphore(value: 0)
        let thaw = DispatchSemaphore(value: 0)
        func arm() { isArmed.withLock { $0 = true } }
        private func disarm() -> Bool {
            isArmed.withLock { armed in
                defer { armed = false }
                return armed
            }
        }
        func see(_ point: SQLFaultPoint) {
            guard case .after(let sql) = point, sql.contains("ORDER BY job FOR UPDATE"), disarm() else { return }
            frozen.signal()
            thaw.wait()
        }
    }

    @Test("What a host has locked that stands still in a transaction holds the others up for no longer than the limit")
    func locksEnd() async throws {
        let freeze = Freeze()
        try await TemporaryPostgres.use {
            $0.faultPoint = { freeze.see($0) }
            $0.idleInTransactionMilliseconds = 1_000
        } _: { alpha, schema in
            let beta = try await TemporaryPostgres.open(schema, host: "beta")
            try await compete(alpha, beta, freeze, schema)
            await beta.close()
        }
    }

    private func compete(_ alpha: PostgresStore, _ beta: PostgresStore, _ freeze: Freeze, _ schema: TestPostgres.Schema) async throws {
        let owners = ["alpha", "beta"].map { Owner(host: $0, epoch: "life-1") }
        let watch = try TemporaryPostgres.connect(schema)
        defer { watch.close() }
        func now() throws -> Instant { Instant(microseconds: try watch.first("SELECT \(PostgresLedger.clock)") { try $0.int64(0) } ?? 0) }
        for (store, owner) in zip([alpha, beta], owners) {
            // Alpha's limit holds here too, where the machine stands still.
            _ = try await TemporaryPostgres.retrying {
                try await store.enter(
                    owner: owner, as: HostIntroduction(place: owner.host, version: "9.9"), for: .seconds(60), now: try now())
            }
        }
        let at = try now()
        freeze.arm()
        defer { freeze.thaw.signal() }
        let late = Task { try await alpha.claimFires([.candles(1)], owner: owners[0], now: at) }
        await withCheckedContinuation { done in
            DispatchQueue.global().async {
                freeze.frozen.wait()
                done.resume()
            }
        }
        // Alpha's thread stands until beta has the claim: without the limit this would never end.
        let claimed = try await beta.claimFires([.candles(1)], owner: owners[1], now: at)
        freeze.thaw.signal()
        #expect(claimed.compactMap { $0 }.count == 1)
        // Its transaction is gone with all that it did: it hears that somebody else has that fire, or that it has to ask again.
        switch await late.result {
        case .success(let runs): #expect(runs.compactMap { $0 }.isEmpty)
        case .failure(let error): #expect((error as? StoreError)?.kind == .unavailable, "\(error)")
        }
        #expect(try watch.first("SELECT count(*) FROM runs") { try $0.int64(0) } == 1)
    }
}
