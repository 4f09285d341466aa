import ExchangeKit
import ExchangeTestKit
import JobKit
import Testing

@testable import Deposits

@Suite struct DepositsDoctorTests {
    private let platform: Platform
    init() throws { platform = try Platform(.disk) }

    private func findings<E: JobEntry>(
        _ entry: E.Type, after seconds: Int64 = 0, _ chains: String = #"{"paper": {}}"#, _ more: String = ""
    ) -> [String] {
        platform.test.doctor(entry, at: noon + seconds * 1_000, job: "deposits", #""chains": \#(chains)\#(more)"#)
    }

    @Test func aChainThatAnswersTellsItsHeadAndNothingIsWritten() throws {
        try platform.mine(4)
        #expect(findings(ConfirmationsEntry.self) == ["ok chain paper: answers; its newest block is 104", "ok deposits: there are none"])
        #expect(try platform.test.texts("SELECT genesis FROM chains") == [""])
    }

    @Test func aChainThatDoesNotAnswerStopsNoOther() throws {
        // A port of this machine that nobody listens on.
        let chains = #"{"paper": {}, "ethereum": {"url": "http://127.0.0.1:9", "confirmations": 12}}"#
        let found = findings(ConfirmationsEntry.self, chains)
        #expect(found.first?.hasPrefix("error chain ethereum: chain ethereum: ") == true, "\(found)")
        #expect(found.contains("ok chain paper: answers; its newest block is 100"))
        #expect(found.last == "ok deposits: there are none")
    }

    @Test func listenersAndTheScanAreMeasuredAgainstTheChain() throws {
        try platform.mine(200)
        #expect(findings(ScanEntry.self) == [
            "ok chain paper: answers; its newest block is 300",
            "warning listener paper: none has ever been heard of: only the scan finds deposits there",
            "warning scan paper: it has never been scanned; does the job run? jobhost show deposits",
        ])
        try platform.sql("INSERT INTO monitors (chain, heartbeat_ms, last_block) VALUES ('paper', \(noon), 290)")
        try platform.scan()
        try platform.mine()
        #expect(findings(ScanEntry.self, after: 60).suffix(2) == [
            "ok listener paper: heard of 1m ago, at block 290", "ok scan paper: up to block 300, 1 to go",
        ])
        #expect(findings(ScanEntry.self, after: 600).contains(
            "error listener paper: last heard of 10m ago, at block 290: restart it; the scan finds what it missed"))
        try platform.mine(100)
        let behind = findings(ScanEntry.self, after: 60, #"{"paper": {}}"#, #", "max_blocks": 50"#)
        #expect(behind.contains("warning listener paper: 111 blocks behind the chain, at block 290"))
        #expect(behind.contains("warning scan paper: 101 blocks are left, more than one run reads (max_blocks 50)"))
    }

    @Test func whatWaitsOrNeedsADecisionIsNamed() throws {
        try platform.deposit("0x1", status: "CONFIRMED")
        try platform.deposit("0x2", status: "HELD")
        let found = findings(CreditEntry.self, after: 25 * 3_600, #"{"paper": {}}"#, #", "mode": "live""#)
        #expect(found == [
            "ok mode: live", "ok chain paper: answers; its newest block is 100", "ok deposits: 2 deposits: 1 CONFIRMED, 1 HELD",
            "warning deposits: 1 deposit confirmed and waiting to be credited, the oldest for 1d1h",
            "warning deposits: 1 deposit held by credit_guard: somebody has to decide",
            "warning stuck: the oldest: deposit 1, paper 0x1, CONFIRMED, 0 confirmations, 25 h old",
        ])
        #expect(findings(StatsEntry.self, after: 25 * 3_600) == Array(found.dropFirst(2)))
        #expect(findings(StuckEntry.self, after: 25 * 3_600) == Array(found.dropFirst(2)))
    }
}
