import JobKit
import SQL
import Testing

@testable import Arena
@testable import Competitions
@testable import ExchangeKit
@testable import MintQueue

@Suite struct ContestDemoTests {
    /// Two minutes of the demo: contests end by themselves, won and refunded, and nobody's money
    /// is lost.
    @Test func contestsEndWhileOneLooksOn() throws {
        let stage = try Stage()
        let contests = Exchange(connection: stage.exchange.connection, place: "memory", statements: .competitions)
        var settings = ContestSettings()
        settings.mode = .live
        var (ended, refunded, errors) = ([ContestKind: Int](), 0, 0)
        for index in Int64(0) ..< 40 {
            let now = noon + index * 3_000
            try stage.tick(at: now)
            guard index % 3 == 2 else { continue }
            for kind in [ContestKind.competition, .challenge] {
                var run = ContestRun(contests, kind, settings, actor: "test", now: now)
                try run.run(isCancelled: { false })
                ended[kind, default: 0] += run.report.ended
                refunded += run.report.refunded
                errors += run.report.errors
            }
        }
        #expect(ended[.competition, default: 0] >= 2)
        #expect(ended[.challenge, default: 0] >= 2)
        #expect(refunded >= 1)
        #expect(errors == 0)
        #expect(try Ledger(stage.exchange).differences() == [])
    }

    @Test func salesAreEnqueuedOnceAndFailedOrdersArePlacedAgain() throws {
        let stage = try Stage()
        let jobs: (inout TickEntry.Settings) -> Void = { ($0.mintJob, $0.positionJob) = ("mint", "positions") }
        let queue = Exchange(connection: stage.exchange.connection, place: "memory", statements: .mintQueue)
        #expect(try stage.tick().enqueued.isEmpty)
        var keys: Set<String> = []
        var last: [SaleCrowd.Enqueued] = []
        for index in Int64(1) ... 10 {
            last = try stage.tick(at: noon + index * 3_000, cause: "tick:\(index)", jobs).enqueued
            #expect(last.map(\.job) == ["mint", "mint", "positions"])
            keys.formUnion(last.map(\.key))
            let mint = try JSON.object(last[0].payload).decode(MintPayload.self)
            #expect(mint.size.isPositive)
            // What the two jobs make of them, with paper peers.
            var mintSettings = MintSettings()
            mintSettings.mode = .live
            let order = MintOrder(key: last[0].key, asset: mint.assetId.text, size: mint.size, createdAt: mint.createdAt.milliseconds)
            var run = MintRun(
                queue, PaperMinter(exchange: queue, luck: PaperLuck()), mintSettings, actor: "mint", order: order,
                now: noon + index * 3_000)
            _ = try run.run(isCancelled: { false })
            let position = try JSON.object(last[2].payload).decode(PositionPayload.self)
            var positionSettings = PositionSettings()
            (positionSettings.mode, positionSettings.exchange) = (.live, "desk")
            var placing = PositionRun(
                queue, PaperOrderGateway(exchange: queue, luck: PaperLuck()), positionSettings, actor: "positions",
                payload: position, now: noon + index * 3_000)
            _ = try placing.run(isCancelled: { false })
        }
        #expect(keys.count == 30)
        #expect(try stage.number("SELECT count(*) FROM mint_requests WHERE status = 'minted'") >= 8)
        #expect(try stage.number("SELECT count(*) FROM exchange_orders WHERE client_id LIKE 'main-%-1' AND status = 'filled'") >= 8)
        // The outcome of the last tick was lost: its retry enqueues the same again, under the same keys.
        let again = try stage.tick(at: noon + 31_000, cause: "tick:10", isRetry: true, jobs)
        #expect(again.summary == nil)
        #expect(again.enqueued.map(\.key) == last.map(\.key))
    }

    @Test func pricesOfAContestThatIsNotSettledAreKept() throws {
        let stage = try Stage()
        try stage.tick()
        let quotes = try stage.number("SELECT count(*) FROM quotes")
        // A day and a half later the contests of the first tick still wait.
        try stage.tick(at: noon + 130_000_000)
        #expect(try stage.number("SELECT count(*) FROM quotes WHERE ts_ms = \(noon)") == quotes)
        try stage.exchange.connection.run("UPDATE competitions SET status = 'ended'")
        try stage.tick(at: noon + 130_030_000)
        #expect(try stage.number("SELECT count(*) FROM quotes WHERE ts_ms = \(noon)") == 0)
    }
}
