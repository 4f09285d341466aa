import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import Testing

@testable import Deposits

@Suite struct WatchTests {
    /// The entries of the real clock: rows are dated by it.
    private func now() -> Int64 { ExchangeClock.system.now() }

    @Test func depositsAreCountedByStatus() throws {
        let platform = try Platform(.disk)
        for (index, status) in ["CREDITED", "CONFIRMING", "CREDITED", "PENDING"].enumerated() {
            try platform.deposit("0x\(index)", status: status)
        }
        let test = TestRun(settings: #"{"database": "\#(platform.test.database)", "chains": {"paper": {}}}"#)
        #expect(test.run(StatsEntry.self) == .succeeded)
        #expect(test.text.hasPrefix("4 deposits: 1 PENDING, 1 CONFIRMING, 2 CREDITED ("))
        #expect(test.samples.filter { $0.name == "deposits_status" }.map(\.value) == [1, 2, 1])
        #expect(test.log.filter { $0.level > 1 }.isEmpty)
    }

    @Test func withoutDepositsThereIsNothingToCount() throws {
        let platform = try Platform(.disk)
        let test = TestRun(settings: #"{"database": "\#(platform.test.database)"}"#)
        #expect(test.run(StatsEntry.self) == .nothingToDo)
        #expect(test.text == "there are no deposits")
    }

    @Test func depositsThatWaitToBeCreditedAreWarnedOf() throws {
        let platform = try Platform()
        for (index, status) in ["CONFIRMED", "CONFIRMED", "HELD", "REVERSAL_REQUIRED"].enumerated() {
            try platform.deposit("0x\(index)", status: status)
        }
        try platform.sql("UPDATE deposits SET confirmed_ms = \(noon) WHERE id = 1")
        try platform.sql("UPDATE deposits SET confirmed_ms = \(noon + 120_000) WHERE id = 2")
        let stats = try DepositStats(platform.exchange, before: noon + 120_000)
        #expect(stats.warnings(now: noon + 420_000) == [
            "1 deposit confirmed and waiting to be credited, the oldest for 7m",
            "1 deposit held by credit_guard: somebody has to decide",
            "1 deposit credited and gone from the chain: somebody has to decide",
        ])
    }

    @Test func stuckDepositsAreNamedWithAllThatIsKnown() throws {
        let platform = try Platform(.disk)
        let now = now()
        try platform.deposit("0xold", at: now - 25 * 3_600_000, status: "CONFIRMING")
        try platform.sql("UPDATE deposits SET confirmations = 2, reason = 'slow' WHERE id = 1")
        try platform.deposit("0xyoung", at: now - 23 * 3_600_000)
        try platform.deposit("0xdone", at: now - 50 * 3_600_000, status: "CREDITED")
        try platform.deposit("0xdropped", at: now - 50 * 3_600_000, status: "DROPPED")
        let test = TestRun(settings: #"{"database": "\#(platform.test.database)"}"#)
        #expect(test.run(StuckEntry.self) == .succeeded)
        #expect(test.text.hasPrefix("1 deposit stuck for more than 1d, the oldest for 1d1h"), "\(test.text)")
        #expect(test.log.map(\.text) == ["stuck: deposit 1, paper 0xold, CONFIRMING, 2 confirmations, 25 h old: slow"])
        let fields = try JSON(parsing: test.log[0].fields).objectValue
        #expect(fields?.keys == ["age_seconds", "chain", "confirmations", "id", "status", "tx_hash"])
    }

    @Test func noMoreAreNamedThanTheLimit() throws {
        let platform = try Platform(.disk)
        for index in 0 ..< 4 { try platform.deposit("0x\(index)", at: noon + Int64(index)) }
        let test = TestRun(settings: #"{"database": "\#(platform.test.database)", "limit": 3}"#)
        #expect(test.run(StuckEntry.self) == .succeeded)
        #expect(test.text.hasPrefix("More than 3 deposits stuck"))
        #expect(test.log.count == 4)
        #expect(test.log.last?.text == "… and more: only the 3 oldest are named")
    }

    @Test func nothingStuckIsNothingToDo() throws {
        let platform = try Platform(.disk)
        let test = TestRun(settings: #"{"database": "\#(platform.test.database)"}"#)
        #expect(test.run(StuckEntry.self) == .nothingToDo)
        #expect(test.text == "no deposit is older than 1d and under way")
    }
}

@Suite struct DepositEntryTests {
    @Test(arguments: [
        (#"{}"#, "chains: there is none; write chains = { paper = {} }"),
        (#"{"chains": {"dogecoin": {}}}"#,
         #"chains.dogecoin: there is no adapter for this chain; name one: adapter = "paper", "ethereum", "bitcoin", "solana""#),
        (#"{"chains": {"x": {"adapter": "paper"}}}"#, #"chains.x.currency: write the currency of the chain's own coin, "ETH""#),
        (#"{"chains": {"paper": {"adapter": "papr"}}}"#, #"chains.paper.adapter: "papr" is not allowed"#),
        (#"{"chains": {"paper": {"confirmation": 1}}}"#,
         "unknown setting 'chains.paper.confirmation' (did you mean 'confirmations'?)"),
        (#"{"chains": {"paper": {"confirmations": 0}}}"#, "chains.paper.confirmations: 0 is out of range (1 to 100000)"),
        (#"{"chains": {"paper": {"tokens": [{"contract": "0x1"}]}}}"#,
         "chains.paper.tokens: each needs a contract and a currency"),
        (#"{"chains": {"paper": {"tokens": [{"contract": "0xA", "currency": "A"}, {"contract": "0xa", "currency": "B"}]}}}"#,
         "chains.paper.tokens: 0xa is there twice"),
        (#"{"chains": {"ethereum": {}}}"#, "chains.ethereum.url: write the address of the node"),
        (#"{"chains": {"ethereum": {"url": "http://u:p@h"}}}"#, "chains.ethereum.url: user and password do not belong"),
        (#"{"chains": {"ethereum": {"url": "http://node.example", "token": "t"}}}"#,
         "chains.ethereum.url: credentials would cross the network as plain text"),
        (#"{"chains": {"ethereum": {"url": "https://node.example", "token": "file:keys/node"}}}"#,
         "chains.ethereum.token: \"file:\" is read by the host, which has not"),
        (#"{"chains": {"sepolia": {"adapter": "ethereum", "url": "http://127.0.0.1", "currency": "ETH"}}}"#,
         "chains.sepolia.chain_id: write the id of the chain"),
        (#"{"chains": {"bitcoin": {"url": "http://127.0.0.1", "confirm_on": "safe"}}}"#,
         #"chains.bitcoin.confirm_on: bitcoin does not know "safe""#),
        (#"{"chains": {"ethereum": {"url": "https://node.example", "attempts": 0}}}"#,
         "chains.ethereum.attempts: 0 is out of range (1 to 100)"),
        (#"{"chains": {"ethereum": {"url": "https://node.example", "time_limit": "0s"}}}"#,
         "chains.ethereum.time_limit: 0s leaves no time for an answer"),
        (#"{"chains": {"paper": {"range": 0}}}"#, "chains.paper.range: 0 is out of range (1 to 10000)"),
        (#"{"chains": {"paper": {}}, "max_amount": {"ETH": "0"}}"#, "max_amount.ETH: 0 is not above 0"),
        (#"{"chains": {"paper": {}}, "mode": "dry"}"#, #"mode: "dry" is not allowed (one of "off", "shadow", "live")"#),
        (#"{"chains": {"paper": {}}, "sql": {"gaurd": "x"}}"#, "sql.gaurd: there is no such statement; there are:"),
    ])
    func badSettingsAreASentence(_ settings: String, _ sentence: String) throws {
        let said = try #require(TestRun(settings: settings).validate(CreditEntry.self))
        #expect(said.hasPrefix(sentence), "\(said)")
    }

    /// The host checks by this schema: nothing in a chain's table may be required.
    @Test func noKeyOfAChainIsRequired() {
        #expect(!JSONSchema.text(ofSettings: CreditEntry.Settings.self).contains("required"))
    }

    @Test func theScheduleOfEachEntryIsItsDefault() {
        #expect(ConfirmationsEntry.info.defaultSchedule == "every 30s")
        #expect(CreditEntry.info.defaultSchedule == "every 10s")
        #expect(ScanEntry.info.defaultSchedule == "every 1m")
        #expect(StatsEntry.info.defaultSchedule == "every 5m")
        #expect(StuckEntry.info.defaultSchedule == "every 1h")
    }

    /// Through the C boundary, from a block to the wallet.
    @Test func theEntriesWorkTogether() throws {
        let platform = try Platform(.disk)
        try platform.sql("UPDATE chains SET confirmations = 2")
        let settings = #"{"database": "\#(platform.test.database)", "chains": {"paper": {}}, "mode": "live"}"#
        let common = #"{"database": "\#(platform.test.database)", "chains": {"paper": {}}}"#
        let confirmations = TestRun(settings: common)
        #expect(confirmations.run(ConfirmationsEntry.self) == .nothingToDo)
        #expect(confirmations.text == "no deposit is under way")
        try platform.pay("0x1", block: 100)
        let scan = TestRun(settings: common)
        #expect(scan.run(ScanEntry.self) == .succeeded)
        #expect(scan.text.hasPrefix("Scanned 1 block of 1 chain: 1 found, 0 known, 0 errors ("))
        #expect(scan.run(ScanEntry.self) == .nothingToDo)
        try platform.mine()
        #expect(confirmations.run(ConfirmationsEntry.self) == .succeeded)
        #expect(confirmations.text.hasPrefix("Checked 1 deposit: 1 updated, 1 confirmed, 0 errors ("))
        let credit = TestRun(settings: settings)
        #expect(credit.run(CreditEntry.self) == .succeeded)
        #expect(credit.text.hasPrefix("Looked at 1 deposit: 1 credited, 0 errors ("))
        #expect(credit.items == 1)
        #expect(credit.run(CreditEntry.self) == .nothingToDo)
        #expect(credit.text == "no deposit is confirmed and not credited")
        #expect(try platform.available() == "1.5")
        let off = TestRun(settings: #"{"mode": "off", "chains": {"paper": {}}}"#)
        #expect(off.run(CreditEntry.self) == .nothingToDo)
        #expect(off.text == "mode is off")
    }

    @Test func everyStatementIsSound() throws {
        let platform = try Platform()
        try platform.exchange.prepareAll()
    }
}
