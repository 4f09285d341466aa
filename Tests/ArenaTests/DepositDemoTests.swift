import ExchangeKit
import JobKit
import SQL
import Testing

@testable import Arena
@testable import Deposits
@testable import ExchangeKit

/// What `make run` shows of deposits.
@Suite struct DepositDemoTests {
    private func settings() throws -> [String: ChainSettings] {
        var chain = ChainSettings()
        chain.confirmations = 3
        chain.startBlock = 0
        chain.tokens = [TokenSettings(contract: DepositCrowd.dollar, currency: "USD", decimals: 6)]
        return ["paper": chain]
    }

    @Test func depositsConfirmAreCreditedAndOneIsStuck() throws {
        let stage = try Stage()
        let exchange = Exchange(connection: stage.exchange.connection, place: "memory", statements: .deposits)
        let chains = try settings()
        let set = try ChainSet(chains)
        let plans = set.plans
        let open: (ChainPlan) throws -> any Chain = { try set.open($0, exchange, mayRecord: true) }
        var (found, confirmed, credited, moved) = (0, 0, 0, 0)
        for index in Int64(0) ..< 60 {
            let now = noon + index * 3_000
            try stage.tick(at: now)
            var confirmations = ConfirmationsEntry.Settings()
            confirmations.chains = chains
            var confirm = ConfirmationRun(exchange, plans, confirmations, now: now, open: open)
            try confirm.run { false }
            #expect(confirm.report.errors == 0)
            confirmed += confirm.confirmed
            moved += confirm.report.lines.filter { $0.text.contains("a reorganisation moved it") }.count
            #expect(confirm.reversals == 0)
            var live = CreditEntry.Settings()
            live.chains = chains
            live.mode = .live
            var credit = try CreditRun(exchange, plans, live, now: now, open: open)
            try credit.run { false }
            #expect(credit.report.errors == 0)
            credited += credit.credited
            guard index % 5 == 0 else { continue }
            var scan = ScanRun(exchange, plans, ScanEntry.Settings(), now: now, open: open) { _ in .succeeded }
            try scan.run { false }
            #expect(scan.report.errors == 0)
            found += scan.found
        }
        // Half of them within the first two minutes of the demo.
        #expect(credited > 40)
        #expect(confirmed >= credited)
        #expect(found > 5)
        #expect(moved > 0)
        #expect(try stage.number("SELECT count(*) FROM deposits WHERE status = 'FAILED'") == 0)
        #expect(try stage.number("SELECT count(*) FROM deposits d JOIN wallets w ON w.id = d.wallet_id WHERE w.currency = 'USD'") > 5)
        #expect(try stage.texts("SELECT status FROM deposits WHERE created_ms < \(noon)") == ["PENDING"])
        #expect(try Ledger(exchange).differences() == [])
    }

    @Test func everySimulationHasItsOwnChain() throws {
        let stage = try Stage()
        try stage.tick()
        try stage.tick(job: "other") {
            $0.simulation = "other"
            $0.pairs = ["DOGE/EUR": .one]
        }
        #expect(try stage.texts("SELECT DISTINCT chain FROM paper_blocks ORDER BY chain") == ["paper", "paper-other"])
        #expect(try stage.number("SELECT count(DISTINCT hash) FROM paper_blocks") == stage.number("SELECT count(*) FROM paper_blocks"))
    }
}
