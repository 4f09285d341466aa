import ExchangeKit
import Testing

@testable import MarginCheck

@Suite struct MarginArithmeticTests {
    /// A state with these sums; how they came about does not matter here.
    private func state(equity: String, margin: String) throws -> MarginState {
        let position = Position(
            id: 1, pair: 1, symbol: "X/USD", quote: "USD", contractSize: .one, sizeStep: .zero, side: .long, size: .one,
            openPrice: .one, leverage: .one, version: 1)
        let valued = ValuedPosition(
            position: position, price: .one, isClosable: true, profit: .zero, notional: try amount(margin), margin: try amount(margin))
        let account = MarginAccount(
            id: 1, name: "a", currency: "USD", wallet: 1, balance: try amount(equity), positions: [position])
        return try MarginState(account: account, positions: [valued])
    }

    @Test func publishedExamples() throws {
        #expect(try state(equity: "49900", margin: "28556.64").available.readable() == "21,343.36")
        #expect(try state(equity: "49800", margin: "28559.97").level?.readable() == "174.37")
        #expect(try state(equity: "2282.71", margin: "309.81").level?.readable() == "736.81")
    }

    @Test func theLevelIsUndefinedWithoutUsedMargin() throws {
        let state = try state(equity: "-5", margin: "0")
        #expect(state.level == nil)
        #expect(!state.isBelow(Amount(100)))
        #expect(!state.isAtOrBelow(Amount(50)))
    }

    @Test func thresholdsAreComparedWithoutRounding() throws {
        #expect(try !state(equity: "100", margin: "100").isBelow(Amount(100)))
        #expect(try state(equity: "99.999999999999999999", margin: "100").isBelow(Amount(100)))
        #expect(try state(equity: "50", margin: "100").isAtOrBelow(Amount(50)))
        #expect(try !state(equity: "50.000000000000000001", margin: "100").isAtOrBelow(Amount(50)))
    }

    @Test func longsAreValuedAtTheBidAndShortsAtTheAsk() throws {
        let broker = try Broker()
        try broker.account("a", balance: "1000")
        try broker.price("XAU/USD", "2000", "2001")
        try broker.pair("XAU/USD")
        try broker.position("a", "XAU/USD", .long, size: "2", at: "1990", leverage: "20")
        try broker.position("a", "XAU/USD", .short, size: "1", at: "1990", leverage: "20")
        let state = try broker.state("a")
        #expect(state.positions.map(\.profit) == [Amount(20), Amount(-11)])
        #expect(try state.positions.map(\.margin) == [Amount(200), amount("100.05")])
        #expect(state.equity == Amount(1_009))
        #expect(try state.usedMargin == amount("300.05"))
    }

    @Test func theContractSizeCounts() throws {
        let broker = try Broker()
        try broker.account("a", balance: "1000")
        try broker.pair("EUR/USD", contractSize: "100000")
        try broker.price("EUR/USD", "1.1000", "1.1002")
        try broker.position("a", "EUR/USD", .long, size: "0.5", at: "1.1010", leverage: "50")
        let state = try broker.state("a")
        #expect(state.equity == Amount(950))
        #expect(state.usedMargin == Amount(1_100))
    }

    @Test func profitAndMarginAreConvertedToTheAccountsCurrency() throws {
        let broker = try Broker()
        try broker.account("a", balance: "1000", currency: "EUR")
        try broker.price("EUR/USD", "1.25", "1.28")
        try broker.price("XAU/USD", "2000", "2001")
        try broker.price("XAU/GBP", "1600", "1601")
        try broker.price("GBP/EUR", "1.2", "1.25")
        // A profit of 128 USD is sold: ÷ 1.28. A loss of 100 GBP is bought: × 1.25.
        try broker.position("a", "XAU/USD", .long, size: "1", at: "1872", leverage: "20")
        try broker.position("a", "XAU/GBP", .long, size: "1", at: "1700", leverage: "20")
        let state = try broker.state("a")
        #expect(state.positions.map(\.profit) == [Amount(100), Amount(-125)])
        #expect(state.positions.map(\.margin) == [Amount(80), Amount(100)])
    }

    @Test func anAccountWhoseCurrencyCannotBeReachedIsReported() throws {
        let broker = try Broker()
        try broker.account("a", balance: "1000", currency: "JPY")
        try broker.account("b", balance: "1000")
        try broker.price("XAU/USD", "2000", "2001")
        try broker.position("a", "XAU/USD", size: "1", at: "1872", leverage: "20")
        try broker.position("b", "XAU/USD", size: "1", at: "1872", leverage: "20")
        let report = try broker.run()
        #expect((report.accounts, report.errors) == (2, 1))
        #expect(report.lines.map(\.text) == ["account a: there is no pair to convert USD into JPY"])
    }
}
