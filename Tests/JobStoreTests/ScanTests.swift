import JobCore
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
}
