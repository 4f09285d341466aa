import ExchangeKit
import ExchangeTestKit
import JobKit
import Testing

@testable import MarginCheck

@Suite struct MarginDoctorTests {
    private let broker: Broker
    init() throws { broker = try Broker(.disk) }

    private func findings(_ settings: String = "") -> [String] {
        broker.test.doctor(MarginCheckEntry.self, at: Broker.now, #""mode": "live""# + settings)
    }

    @Test func withoutPositionsThereIsNothingToWatch() {
        #expect(findings() == [
            "ok mode: live", "ok accounts: none has an open position: there is nothing to watch",
            "ok closings: 0 in the last hour; 500 are allowed",
        ])
    }

    @Test func accountsPositionsAndTheAgeOfPricesAreCounted() throws {
        try broker.account("anna", balance: "1000")
        try broker.price("BTC/USD", "100", "101", age: 9)
        try broker.price("ETH/USD", "10", "11", age: 2)
        try broker.position("anna", "BTC/USD", size: "1", at: "100", leverage: "10")
        try broker.position("anna", "ETH/USD", size: "1", at: "10", leverage: "10")
        let found = findings()
        #expect(found.contains("ok accounts: 1 account with 2 open positions"))
        #expect(found.contains("ok prices: of all 2 pairs with open positions, the oldest 9s old"))
    }

    @Test func aPairWithoutAUsablePriceIsAnError() throws {
        try broker.account("anna", balance: "1000")
        try broker.price("BTC/USD", "100", "101", age: 300)
        try broker.price("SOL/USD", "100", "101", age: 900)
        for symbol in ["BTC/USD", "ETH/USD"] { try broker.position("anna", symbol, size: "1", at: "100", leverage: "10") }
        let found = findings()
        #expect(found.contains("error prices: none at all for ETH/USD: its accounts cannot be valued; does the feed write quotes?"))
        // SOL/USD is nobody's.
        #expect(found.contains(
            "error prices: 1 of 2 pairs with open positions may not be closed on: BTC/USD, its newest price is 300 s old; is the price feed up?"))
    }

    @Test func rowsThatMakeNoSenseAreNamed() throws {
        try broker.account("anna", balance: "1000")
        let position = try broker.position("anna", "BTC/USD", size: "NaN", at: "100", leverage: "10")
        #expect(findings().contains { $0.hasPrefix("error accounts: account 1: position \(position): ") }, "\(findings())")
    }

    @Test func aJobThatHasClosedAllItMayIsAnError() throws {
        try broker.account("anna", balance: "50")
        try broker.price("BTC/USD", "1", "1.1")
        try broker.position("anna", "BTC/USD", size: "1", at: "100", leverage: "10")
        try broker.run()
        #expect(findings(#", "max_closings_per_hour": 1"#).contains {
            $0.hasPrefix("error closings: 1 in the last hour, as many as max_closings_per_hour allows")
        }, "\(findings())")
    }
}
