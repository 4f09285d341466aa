import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import Testing

@testable import Deposits

@Suite struct ScanTests {
    @Test func whatTheListenerMissedIsFoundConfirmedAndCredited() throws {
        let platform = try Platform(confirmations: 2)
        try platform.scan()
        try platform.mine(3)
        try platform.pay("0x1", block: 102)
        try platform.pay("0x2", block: 103)
        try platform.deposit("0x2")
        try platform.pay("0xb0b", block: 103, to: "0xb0b")
        try platform.pay("0xzero", "0", block: 103)
        try platform.pay("0xfailed", block: 103, failed: true)
        let run = try platform.scan()
        #expect((run.blocks, run.found, run.known) == (3, 1, 1))
        #expect(run.report.texts(.info) == ["found on paper: transfer 0 of 0x1 in block 102"])
        #expect(try platform.test.texts("SELECT tx_hash, status, amount, units, address FROM deposits ORDER BY id") == [
            "0x2 PENDING 1.5 - ", "0x1 PENDING 1.5 1500000000000000000 \(alice)",
        ])
        try platform.mine()
        try platform.confirm()
        try platform.credit()
        #expect(try platform.statuses() == ["CREDITED", "CREDITED"])
        #expect(try platform.available() == "3")
        #expect(try platform.scan().found == 0)
    }

    @Test func rangesAreBoundedAndClampedToTheHead() throws {
        let platform = try Platform()
        platform.chains["paper"]?.range = 4
        platform.chains["paper"]?.startBlock = 101
        try platform.mine(25)
        try platform.pay("0x1", block: 125)
        var run = try platform.scan({ $0.maxBlocks = 10 })
        #expect((run.blocks, run.found) == (10, 0))
        #expect(run.behind == ["paper": 15])
        run = try platform.scan({ $0.maxBlocks = 10 })
        #expect(run.blocks == 10)
        run = try platform.scan({ $0.maxBlocks = 10 })
        #expect((run.blocks, run.found) == (5, 1))
        #expect(try platform.scan().blocks == 0)
        #expect(try platform.test.texts("SELECT position, note FROM checkpoints") == ["125 125a"])
    }

    @Test func theFirstScanBeginsAtTheListenersBlock() throws {
        let platform = try Platform()
        try platform.mine(10)
        try platform.pay("0xearly", block: 104)
        try platform.pay("0x1", block: 105)
        try platform.sql("INSERT INTO monitors VALUES ('paper', ?, 105)", [.int(noon)])
        #expect(try platform.scan().blocks == 6)
        #expect(try platform.test.texts("SELECT tx_hash FROM deposits") == ["0x1"])
    }

    @Test func aReorganisationIsScannedAgain() throws {
        let platform = try Platform()
        try platform.scan()
        try platform.mine(3)
        try platform.scan()
        try platform.rewind(to: 102)
        try platform.mine(3, fork: "b")
        try platform.pay("0x1", block: 102)
        let run = try platform.scan()
        #expect(run.report.texts(.warning) == [
            "chain paper: block 103 was replaced by a reorganisation, scanning again from block 3"
        ])
        #expect(try platform.test.texts("SELECT tx_hash FROM deposits") == ["0x1"])
    }

    @Test func aNodeThatLagsBehindIsNotBelieved() throws {
        let platform = try Platform()
        try platform.mine(3)
        try platform.scan()
        try platform.rewind(to: 102)
        let run = try platform.scan()
        #expect(run.blocks == 0)
        #expect(run.report.texts(.warning) == [
            "chain paper: the node's newest block is 101, block 103 was scanned before: it lags behind"
        ])
    }

    @Test func aTransferOf256BitsIsKeptWithAStatusOfItsOwn() throws {
        let platform = try Platform()
        platform.chains["paper"]?.tokens = [TokenSettings(contract: "0xBIG", currency: "BIG", decimals: 18)]
        let units = "115792089237316195423570985008687907853269984665640564039457584007913129639935"
        try platform.pay("0x1", units, block: 100, ordinal: 1, token: "0xbig")
        #expect(try platform.scan().found == 1)
        let row = try platform.test.texts("SELECT status, amount, units, watched FROM deposits")
        #expect(row == ["AMOUNT_UNSUPPORTED 0 \(units) 0"])
        try platform.mine(20)
        try platform.confirm()
        try platform.credit()
        #expect(try platform.statuses() == ["AMOUNT_UNSUPPORTED"])
    }

    @Test func aTokenThatIsNotOnTheListIsNoDeposit() throws {
        let platform = try Platform()
        try platform.pay("0x1", block: 100, ordinal: 1, token: "0xfake")
        #expect(try platform.scan().found == 0)
        #expect(try platform.test.count("deposits") == 0)
    }

    /// As other programs write them: hashes and addresses in capitals.
    @Test func whatTheListenerWroteInOtherLettersIsKnown() throws {
        let platform = try Platform()
        try platform.sql("UPDATE deposit_addresses SET address = upper(address)")
        try platform.pay("0xabc", block: 100)
        try platform.deposit("0xABC")
        let run = try platform.scan()
        #expect((run.found, run.known) == (0, 1))
        try platform.mine(2)
        try platform.confirm()
        try platform.credit()
        #expect(try platform.statuses() == ["CREDITED"])
        #expect(try platform.test.texts("SELECT cause FROM ledger_causes") == ["deposit:paper:0xabc:0"])
    }

    @Test func aDroppedDepositComesBackAndACreditedOneStays() throws {
        let platform = try Platform(confirmations: 1)
        try platform.mine()
        try platform.pay("0x1", block: 101)
        try platform.pay("0x2", block: 101)
        try platform.deposit("0x1", status: "DROPPED")
        try platform.deposit("0x2", status: "CREDITED")
        try platform.sql("UPDATE deposits SET watched = 0")
        #expect(try platform.scan().found == 1)
        #expect(try platform.test.texts("SELECT status, watched FROM deposits ORDER BY id") == ["PENDING 1", "CREDITED 0"])
        try platform.confirm()
        try platform.credit()
        #expect(try platform.available() == "1.5")
    }

    @Test func aScanThatIsCutAnywhereFindsEverythingOnce() throws {
        func check(_ platform: Platform, _ place: String) throws {
            #expect(try platform.test.texts("SELECT tx_hash FROM deposits ORDER BY tx_hash") == ["0x1", "0x2"], "\(place)")
            #expect(try platform.test.count("activity_log") == 2, "\(place)")
        }
        let cuts = try cutAtEveryStatement({
            let platform = try Platform(.disk)
            platform.chains["paper"]?.range = 2
            platform.chains["paper"]?.startBlock = 100
            try platform.mine(4)
            try platform.pay("0x1", block: 101)
            try platform.pay("0x2", block: 104)
            return platform
        }, run: { try $0.alone { _ = try $0.scan() } }, check: check)
        #expect(cuts > 20)
    }

    // MARK: Listeners

    @Test func aListenerThatIsNotHeardOfIsCriticalAndRestarted() throws {
        let platform = try Platform()
        try platform.sql("INSERT INTO monitors VALUES ('paper', ?, 99)", [.int(noon)])
        var commands: [RestartCommand] = []
        func scan(after minutes: Int64) throws -> ScanRun {
            try platform.scan(at: noon + minutes * 60_000) {
                $0.restart = ["systemctl", "restart", "listener@", "{chain}"]
            } restart: {
                commands.append($0)
                return .succeeded
            }
        }
        #expect(try scan(after: 5).stale == 0)
        #expect(commands == [])
        var run = try scan(after: 6)
        #expect(run.report.texts(.critical) == [
            "Blockchain monitoring is not active! The listener of paper was last heard of 6m ago, at block 99"
        ])
        #expect(run.report.texts(.info) == ["restart command of paper, systemctl, succeeded"])
        #expect(commands == [RestartCommand(argv: ["systemctl", "restart", "listener@", "paper"], timeout: 10_000)])
        // Said every time, restarted at most every ten minutes.
        run = try scan(after: 15)
        #expect((run.stale, commands.count) == (1, 1))
        _ = try scan(after: 16)
        #expect(commands.count == 2)
    }

    @Test func aListenerThatFallsBehindIsWarnedOf() throws {
        let platform = try Platform()
        try platform.mine(20)
        try platform.sql("INSERT INTO monitors VALUES ('paper', ?, 109)", [.int(noon)])
        #expect(try platform.scan({ $0.monitorLag = 11 }).report.texts(.warning) == [])
        #expect(try platform.scan({ $0.monitorLag = 10 }).report.texts(.warning) == [
            "the listener of paper is at block 109, 11 behind the chain"
        ])
    }

    // MARK: The restart command

    private func outcome(_ argv: [String], timeout: Int64 = 600_000) -> RestartCommand.Outcome {
        RestartCommand(argv: argv, timeout: timeout).run()
    }

    @Test func aCommandIsRunWithoutAShell() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "restart-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        #expect(outcome(["sh", "-c", "printf '%s' \"$1\" > \(file.path)", "sh", "a b; rm $HOME"]) == .succeeded)
        #expect(try String(contentsOf: file, encoding: .utf8) == "a b; rm $HOME")
        #expect(outcome(["true"]) == .succeeded)
        #expect(outcome(["true; false"]) == .notStarted("there is no program 'true; false' in PATH"))
        #expect(outcome(["/nowhere/x"]) == .notStarted("No such file or directory"))
    }

    @Test func aCommandThatFailsIsQuoted() {
        #expect(outcome(["sh", "-c", "echo one; echo two >&2; exit 3"]) == .exited(3, output: "one | two"))
        #expect(outcome(["sh", "-c", "yes | head -c 300000; exit 1"]).description.hasSuffix("y | y"))
        #expect(outcome(["sh", "-c", "kill -9 $$"]) == .killed(signal: 9))
    }

    @Test func aCommandThatHangsIsKilledWithItsChildren() throws {
        #expect(outcome(["sh", "-c", "trap '' TERM; sleep 600 & sleep 600"], timeout: 100) == .timedOut)
        // Its grandchild holds the output open; nobody waits for that.
        let file = FileManager.default.temporaryDirectory.appending(path: "grandchild-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        #expect(outcome(["sh", "-c", "sleep 300 & echo $! > \(file.path)"]) == .succeeded)
        let said = try String(contentsOf: file, encoding: .utf8)
        let grandchild = try #require(pid_t(said.trimmingCharacters(in: .newlines)))
        #expect(kill(grandchild, SIGKILL) == 0, "it has ended before")
    }
}
