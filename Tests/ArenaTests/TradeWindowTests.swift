import ExchangeKit
import JobCore
import Testing

@testable import Arena

/// The pure parts: clock, windows, fees, desk, strategies.
@Suite struct TradeWindowTests {
    private let hour: Int64 = 3_600_000

    @Test func aMarketsClockNeverGoesBackNorPastTheRealOne() {
        #expect(MarketClock(noon).after(1_800_000, real: noon + 5 * hour) == noon + 1_800_000)
        #expect(MarketClock(noon).after(1_800_000, real: noon + 60_000) == noon + 60_000)
        #expect(MarketClock(noon).after(1_800_000, real: noon - 60_000) == noon)
        #expect(MarketClock(noon).after(-5, real: noon + hour) == noon)
        #expect(MarketClock(noon).after(.max, real: .max) == .max)
    }

    @Test func aWindowOpensAtEachWholeMultipleOfItsLength() {
        let two = 2 * hour
        #expect(TradeWindow.next(clock: noon, length: two, last: nil) == .trade(TradeWindow(opens: noon, length: two), missed: 0))
        #expect(TradeWindow.next(clock: noon + two - 1, length: two, last: noon) == .wait(until: noon + two))
        #expect(
            TradeWindow.next(clock: noon + two, length: two, last: noon)
                == .trade(TradeWindow(opens: noon + two, length: two), missed: 0))
        #expect(
            TradeWindow.next(clock: noon + 7 * hour, length: two, last: noon)
                == .trade(TradeWindow(opens: noon + 6 * hour, length: two), missed: 2))
        // Before 1970, too.
        #expect(TradeWindow(containing: -1, length: two).opens == -two)
        // A market that stands behind its newest window waits.
        #expect(TradeWindow.next(clock: noon, length: two, last: noon + two) == .wait(until: noon + two))
    }

    @Test(arguments: [
        ("100", "0.25"), ("500", "0.25"), ("500.01", "0.250005"), ("10000", "5"), ("0.00000001", "0.25"),
    ])
    func aFeeIs5BasisPointsAndAtLeast25Cents(_ worth: String, _ fee: String) throws {
        #expect(try FeeSchedule.standard.fee(on: Amount(parsing: worth)) == Amount(parsing: fee))
    }

    @Test func whatIsAffordableIsNeverTooMuch() throws {
        var random = SeededGenerator(seed: 5)
        for _ in 0 ..< 2_000 {
            let money = Amount(units: Int128(Int64.random(in: 0 ... 5_000_000_000, using: &random)) * 1_000_000_000_00)
            let fees = FeeSchedule(basisPoints: Int.random(in: 0 ... 1_000, using: &random), minimum: .one)
            let worth = try fees.affordable(with: money)
            if worth.isPositive { #expect(try worth + fees.fee(on: worth) <= money) }
        }
    }

    private func view(_ prices: [String: [String]]) throws -> MarketView {
        let pairs = try prices.sorted { $0.key < $1.key }.enumerated().map { index, item in
            MarketView.Pair(
                id: Int64(index), symbol: .init(text: item.key + "/USD", base: item.key, quote: "USD"),
                history: try item.value.map { try Amount(parsing: $0) })
        }
        return MarketView(clock: noon, step: hour, pairs: pairs)
    }

    @Test func theDeskBuysAtTheAskAndSellsAtTheBid() throws {
        let view = try view(["BTC": ["100"]])
        var portfolio = Portfolio(currency: "USD", cash: Amount(10_000))
        let desk = TradingDesk()
        guard case .filled(let bought) = try desk.execute(AgentOrder(pair: "BTC/USD", side: .buy, amount: Amount(10)), &portfolio, view)
        else { return #expect(Bool(false)) }
        #expect([bought.price, bought.worth, bought.fee].map(\.description) == ["100.01", "1000.1", "0.50005"])
        #expect(portfolio.cash.description == "8999.39995")
        #expect(portfolio.amount(of: "BTC") == Amount(10))
        #expect(try portfolio.equity(view).description == "9999.29995")
        guard case .filled(let sold) = try desk.execute(AgentOrder(pair: "BTC/USD", side: .sell, amount: Amount(10)), &portfolio, view)
        else { return #expect(Bool(false)) }
        #expect([sold.price, sold.worth, sold.fee].map(\.description) == ["99.99", "999.9", "0.49995"])
        #expect(portfolio == Portfolio(currency: "USD", cash: try Amount(parsing: "9998.8")))
    }

    @Test(arguments: [
        ("ETH/USD", AgentOrder.Side.buy, "1", "there is no pair ETH/USD with a price"),
        ("BTC/USD", .buy, "0", "0 is not above 0"), ("BTC/USD", .sell, "-1", "-1 is not above 0"),
        ("BTC/USD", .buy, "10", "10 BTC cost 1000.60005 USD with the fee, there are 1000"),
        ("BTC/USD", .sell, "2", "2 BTC are more than the 1 there are"),
        ("BTC/USD", .sell, "0.001", "0.001 BTC are worth 0.09999 USD, the fee is 0.25"),
    ])
    func whatCannotBeIsRefusedWithASentence(_ pair: String, _ side: AgentOrder.Side, _ amount: String, _ sentence: String) throws {
        var portfolio = Portfolio(currency: "USD", cash: Amount(1_000), holdings: ["BTC": .one])
        let before = portfolio
        let order = AgentOrder(pair: pair, side: side, amount: try Amount(parsing: amount))
        #expect(try TradingDesk().execute(order, &portfolio, view(["BTC": ["100"]])) == .refused(sentence))
        #expect(portfolio == before)
    }

    /// Neither half of an order whose worth, or whose result, is more than any amount.
    @Test func whatIsNoAmountChangesNothing() throws {
        let view = try view(["BTC": ["100"]])
        let most = Amount(units: .max)
        for (side, amount) in [(AgentOrder.Side.buy, most), (.buy, .one), (.sell, .one)] {
            var portfolio = Portfolio(currency: "USD", cash: most, holdings: ["BTC": most])
            let before = portfolio
            #expect(throws: AmountError.outOfRange) {
                try TradingDesk().execute(AgentOrder(pair: "BTC/USD", side: side, amount: amount), &portfolio, view)
            }
            #expect(portfolio == before)
        }
    }

    @Test func strategiesDoWhatTheirNamesSay() throws {
        var random = SeededGenerator(seed: 1)
        let view = try view(["BTC": ["100", "101", "104"], "ETH": ["10", "10", "9"], "SOL": ["5", "5", "5"]])
        func orders(_ strategy: Strategy, _ holdings: [String: Amount] = [:]) throws -> [String] {
            let portfolio = Portfolio(currency: "USD", cash: Amount(10_000), holdings: holdings)
            let decision = try strategy.decide(view, portfolio, .standard, &random)
            var rest = portfolio
            // Whatever a strategy wants, it can pay.
            for order in decision.orders {
                guard case .filled = try TradingDesk().execute(order, &rest, view) else { return ["refused"] }
            }
            return decision.orders.map { "\($0.side.rawValue) \($0.pair)" }
        }
        #expect(try orders(.hold) == ["buy BTC/USD", "buy ETH/USD", "buy SOL/USD"])
        #expect(try orders(.hold, ["BTC": .one]) == [])
        #expect(try orders(.momentum, ["ETH": .one, "SOL": .one]) == ["sell ETH/USD", "buy BTC/USD"])
        #expect(try orders(.reversion, ["BTC": .one, "SOL": .one]) == ["sell BTC/USD", "buy ETH/USD"])
        #expect(try orders(.random).count == 1)
    }
}
