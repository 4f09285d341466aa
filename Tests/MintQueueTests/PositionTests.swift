import ExchangeTestKit
import JobKit
import OutsideKit
import Testing

@testable import ExchangeKit
@testable import MintQueue

/// A gateway in memory that keeps its orders. What it makes of a new order is scripted.
final class ScriptedGateway: OrderGateway {
    enum Mood { case fills, refuses, losesTheAnswer, losesTheRequest, isDown }
    var moods: [Mood] = []
    var orders: [String: GatewayAnswer] = [:]
    private(set) var calls: [String] = []

    func place(_ order: PlacedOrder) throws -> GatewayAnswer? {
        calls.append("PUT \(order.clientID) \(order.quantity)")
        let mood = moods.isEmpty ? .fills : moods.removeFirst()
        switch mood {
        case .fills, .losesTheAnswer:
            orders[order.clientID] = GatewayAnswer(status: "filled", executed: order.quantity, reference: "x-1")
            return mood == .fills ? orders[order.clientID] : nil
        case .refuses: return GatewayAnswer(status: "rejected", executed: .zero, reference: "")
        case .losesTheRequest: return nil
        case .isDown: throw CallError(.unavailable, "no connection")
        }
    }

    func look(_ clientID: String) throws -> GatewayAnswer? {
        calls.append("GET \(clientID)")
        return orders[clientID]
    }
}

/// A trade whose orders may have failed.
final class Desk {
    let test: TestExchange
    let gateway = ScriptedGateway()

    init(_ place: TestExchange.Place = .memory) throws { test = try TestExchange(place, statements: .mintQueue) }

    func order(_ id: String, _ status: String, executed: String = "0", placed: Bool = true) throws {
        try test.connection.run(
            """
            INSERT INTO exchange_orders (exchange, client_id, pair_id, side, price, quantity, executed, status, placed_ms)
            VALUES ('main', ?, ?, 'buy', '100', '10', ?, ?, ?)
            """, [.text(id), .int(try test.pair("BTC/USD")), .text(executed), .text(status), placed ? .int(noon) : .null])
    }

    @discardableResult
    func manage(
        _ orders: [String] = ["t"], age seconds: Int64 = 0, cancelled: Bool = false, _ change: (inout PositionSettings) -> Void = { _ in }
    ) throws -> RunOutcome { try manage(on: test.exchange, orders, age: seconds, cancelled: cancelled, change) }

    @discardableResult
    func manageAlone() throws -> RunOutcome {
        let exchange = try Exchange.open(test.location, statements: .mintQueue)
        defer { exchange.close() }
        return try manage(on: exchange, ["t"], age: 0, cancelled: false) { _ in }
    }

    private func manage(
        on exchange: Exchange, _ orders: [String], age seconds: Int64, cancelled: Bool, _ change: (inout PositionSettings) -> Void
    ) throws -> RunOutcome {
        var settings = PositionSettings()
        settings.mode = .live
        change(&settings)
        let payload = PositionPayload(tradeId: PlainID("17"), originalOrders: orders.map { PlainID($0) }, createdAt: Moment(milliseconds: noon))
        var run = PositionRun(exchange, gateway, settings, actor: "manage-position", payload: payload, now: noon + seconds * 1_000)
        return try run.run(isCancelled: { cancelled })
    }

    /// "client status quantity executed"
    func orders() throws -> [String] {
        try test.texts("SELECT client_id, status, quantity, executed FROM exchange_orders ORDER BY id")
    }
}

@Suite struct PositionTests {
    @Test func onlyFailedOrdersArePlacedAgainAndOnlyTheRemainder() throws {
        let desk = try Desk()
        try desk.order("a", "filled", executed: "10")
        try desk.order("b", "expired", executed: "4")
        try desk.order("c", "cancelled")
        try desk.order("d", "partial", executed: "1")
        #expect(try desk.manage(["a", "b", "c", "d"]) == .succeeded("Managed 4 orders of trade 17: 1 placed again, 3 left as they are"))
        #expect(desk.gateway.calls == ["PUT b-1 6"])
        #expect(try desk.orders().last == "b-1 filled 6 6")
        #expect(try desk.test.events() == ["OrderReplaced"])
        #expect(try desk.test.texts("SELECT action, subject FROM activity_log") == ["order.replace order:b-1"])
        // Again: all is well now.
        #expect(try desk.manage(["a", "b", "c", "d"]) == .nothingToDo("Managed 4 orders of trade 17: 0 placed again, 4 left as they are"))
        #expect(desk.gateway.calls.count == 1)
    }

    @Test func anUnknownOrderIsAskedForAndItsAnswerDecides() throws {
        let desk = try Desk()
        try desk.order("t", "unknown")
        #expect(try desk.manage() == .retry(
            "the exchange knows nothing of order t: it is not placed again. Managed 1 order of trade 17: 0 placed again, 0 left as they are"))
        #expect(desk.gateway.calls == ["GET t"])
        desk.gateway.orders["t"] = GatewayAnswer(status: "rejected", executed: try amount("3"), reference: "")
        #expect(try desk.manage() == .succeeded("Managed 1 order of trade 17: 1 placed again, 0 left as they are"))
        #expect(desk.gateway.calls == ["GET t", "GET t", "PUT t-1 7"])
    }

    @Test(arguments: [ScriptedGateway.Mood.losesTheAnswer, .losesTheRequest])
    func oneThatWasSentAndNothingHeardIsAskedForNotSentAgain(_ mood: ScriptedGateway.Mood) throws {
        let desk = try Desk()
        try desk.order("t", "rejected")
        desk.gateway.moods = [mood]
        for _ in 0 ..< 3 { try desk.manage() }
        #expect(desk.gateway.calls.filter { $0.hasPrefix("PUT") } == ["PUT t-1 10"])
        #expect(try desk.orders().last == (mood == .losesTheAnswer ? "t-1 filled 10 10" : "t-1 pending 10 0"))
    }

    @Test func threeRefusalsAreEnough() throws {
        let desk = try Desk()
        try desk.order("t", "rejected")
        desk.gateway.moods = [.refuses, .refuses, .refuses]
        for number in 1 ... 3 {
            #expect(try desk.manage() == .retry(
                "order t-\(number) was refused. Managed 1 order of trade 17: 0 placed again, 0 left as they are"))
        }
        #expect(try desk.manage() == .failed(
            "order t was placed again 3 times. Managed 1 order of trade 17: 0 placed again, 0 left as they are", code: 2))
        #expect(desk.gateway.calls == ["PUT t-1 10", "PUT t-2 10", "PUT t-3 10"])
    }

    @Test func aGatewayThatIsDownUsesUpNoNumber() throws {
        let desk = try Desk()
        try desk.order("t", "rejected")
        desk.gateway.moods = Array(repeating: .isDown, count: 5)
        for _ in 0 ..< 5 {
            let error = #expect(throws: JobFailure.self) { try desk.manage() }
            #expect(error?.kind == .transient)
            #expect(try desk.orders().last == "t-1 unsent 10 0")
        }
        #expect(try desk.manage() == .succeeded("Managed 1 order of trade 17: 1 placed again, 0 left as they are"))
        #expect(Set(desk.gateway.calls) == ["PUT t-1 10"])
        #expect(try desk.orders() == ["t rejected 10 0", "t-1 filled 10 10"])
    }

    /// Between the mark on record and the answer it may have left: then it is asked for.
    @Test func whatMayHaveLeftAfterAllIsAskedForNotSentAgain() throws {
        let desk = try Desk()
        try desk.order("t", "rejected")
        desk.gateway.moods = [.isDown, .losesTheAnswer]
        #expect(throws: JobFailure.self) { try desk.manage() }
        for _ in 0 ..< 2 { try desk.manage() }
        #expect(desk.gateway.calls == ["PUT t-1 10", "PUT t-1 10", "GET t-1"])
        #expect(try desk.orders().last == "t-1 filled 10 10")
    }

    @Test func whatNeverLeftIsNotSentForAnOldTrade() throws {
        let desk = try Desk()
        try desk.order("t", "rejected")
        desk.gateway.moods = [.isDown]
        #expect(throws: JobFailure.self) { try desk.manage() }
        #expect(try desk.manage(age: 3_601) == .failed(
            "order t is of a trade older than max_age: not placed again. Managed 1 order of trade 17: 0 placed again, 0 left as they are",
            code: 2))
        #expect(desk.gateway.calls.count == 1)
    }

    @Test func anOldTradeIsLeftToAHuman() throws {
        let desk = try Desk()
        try desk.order("t", "rejected")
        #expect(try desk.manage(age: 3_601) == .failed(
            "order t is of a trade older than max_age: not placed again. Managed 1 order of trade 17: 0 placed again, 0 left as they are", code: 2))
        #expect(desk.gateway.calls == [])
        try desk.manage(age: 3_600)
        #expect(desk.gateway.calls == ["PUT t-1 10"])
    }

    @Test func anOrderThatIsNotOnRecordStopsNoOther() throws {
        let desk = try Desk()
        try desk.order("b", "rejected")
        #expect(try desk.manage(["ghost", "b"]) == .failed(
            "order ghost is not on record: nothing is known to place. Managed 2 orders of trade 17: 1 placed again, 0 left as they are", code: 2))
    }

    @Test func capsStopTheRun() throws {
        let desk = try Desk()
        for id in ["a", "b"] { try desk.order(id, "rejected") }
        #expect(try desk.manage(["a"]) { $0.maxNotional = Amount(999) } == .failed(
            "Halted: placing order a again is worth 1,000.00, above max_notional (999.00). Managed 1 order of trade 17: 0 placed again, 0 left as they are", code: 1))
        #expect(try desk.manage(["a", "b"]) { $0.maxOrdersPerRun = 1 } == .failed(
            "Halted: max_orders_per_run (1) is reached. Managed 2 orders of trade 17: 1 placed again, 0 left as they are", code: 1))
        #expect(try desk.manage(["b"], age: 10) { $0.maxOrdersPerHour = 1 } == .failed(
            "Halted: max_orders_per_hour (1) is reached. Managed 1 order of trade 17: 0 placed again, 0 left as they are", code: 1))
        #expect(desk.gateway.calls == ["PUT a-1 10"])
    }

    @Test func inShadowNothingIsAskedOrPlaced() throws {
        let desk = try Desk()
        try desk.order("a", "rejected")
        try desk.order("b", "unknown")
        #expect(try desk.manage(["a", "b"]) { $0.mode = .shadow } == .succeeded(
            "Managed 2 orders of trade 17 (shadow, nothing written): 1 placed again, 0 left as they are"))
        #expect(desk.gateway.calls == [])
        #expect(try desk.orders().count == 2)
    }

    @Test func cancelledItPlacesNothing() throws {
        let desk = try Desk()
        try desk.order("t", "rejected")
        #expect(throws: CancellationNotice.self) { try desk.manage(cancelled: true) }
        #expect(desk.gateway.calls == [])
    }

    @Test(arguments: [[], [ScriptedGateway.Mood.losesTheAnswer]])
    func cutAnywhereNothingIsPlacedTwice(_ moods: [ScriptedGateway.Mood]) throws {
        let cuts = try cutAtEveryStatement({
            let desk = try Desk(.disk)
            try desk.order("t", "rejected")
            desk.gateway.moods = moods
            return desk
        }, run: { _ = try $0.manageAlone() }) { (desk, place) throws in
            let placed = desk.gateway.calls.filter { $0.hasPrefix("PUT") }
            // Cut between the record and the sending, nothing was sent: that is for a human then.
            #expect(placed.count <= 1, "\(place): \(desk.gateway.calls)")
            #expect(try desk.test.number("SELECT count(*) FROM exchange_orders") == 2, "\(place)")
        }
        #expect(cuts > 8)
    }

    @Test func whatTheExchangeReportsMeanwhileIsNotOverwritten() throws {
        var theirs = 0
        var inTime = 0
        try besideAWriterAtEveryStatement(
            {
                theirs = 0
                let desk = try Desk(.disk)
                try desk.order("t", "unknown")
                desk.gateway.orders["t"] = GatewayAnswer(status: "rejected", executed: .zero, reference: "")
                return (desk, desk.test)
            },
            write: { other in
                // The reconciler hears that it was filled after all.
                theirs = try other.run(
                    "UPDATE exchange_orders SET status = 'filled', executed = '10', version = version + 1 WHERE client_id = 't' AND status = 'unknown'")
            },
            run: { (desk: Desk) in _ = try desk.manageAlone() }
        ) { (desk, place) throws in
            #expect(try desk.orders().first == (theirs == 1 ? "t filled 10 10" : "t rejected 10 0"), "\(place)")
            #expect(desk.gateway.calls.contains("PUT t-1 10") == (theirs == 0), "\(place): \(desk.gateway.calls)")
            inTime += theirs
        }
        #expect(inTime > 0)
    }
}
