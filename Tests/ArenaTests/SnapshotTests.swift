import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import Testing

@testable import Arena
@testable import Candles
@testable import ExchangeKit
@testable import Tickers

@Suite struct SnapshotTests {
    private let small: (inout TickEntry.Settings) -> Void = { $0.accounts = 5; $0.pairs = ["BTC/USD": Amount(64_000), "ETH/USD": Amount(3_200)] }

    /// Ticks and windows, `from` included.
    private func live(_ stage: Stage, _ range: Range<Int64>) throws {
        for index in range {
            try stage.tick(at: noon + index * 30_000, small)
            try stage.trade(at: noon + index * 30_000)
        }
    }
    private func inFiles(_ stage: Stage) -> (inout SnapshotEntry.Settings) -> Void {
        let folder = stage.folder.appending(path: "kept").path
        return { $0.store = .file; $0.folder = folder }
    }
    private let trades = "SELECT p.symbol, t.id, t.ts_ms, t.side, t.price, t.amount FROM trades t JOIN pairs p ON p.id = t.pair_id"

    /// What a market does after a snapshot it does elsewhere, too: the same trades, the same agents.
    @Test func aSimulationGoesOnInAnotherDatabaseAsItWould() throws {
        let first = try Stage()
        try live(first, 0 ..< 6)
        let saved = try first.snapshot(at: noon + 200_000, inFiles(first))
        #expect(saved.summary?.hasPrefix("Snapshot 1 of 'main' in \(first.folder.path)/kept/arena/main.*.json: market 2025-12-29 15:00, 2 pairs, 4 agents") == true)
        let clock = try first.number("SELECT clock_ms FROM simulations")
        try live(first, 6 ..< 14)

        let second = try Stage()
        let resumed = try second.snapshot(SnapshotOrder(.resume), at: noon + 200_000, inFiles(first))
        #expect(resumed.summary == "Resumed 'main' from snapshot 1, taken 2026-01-05 12:03:20: market 2025-12-29 15:00, 2 pairs, 4 agents")
        try live(second, 6 ..< 14)
        let after = trades + " WHERE t.ts_ms >= \(clock) ORDER BY t.ts_ms, p.symbol, t.id"
        #expect(try first.texts(after).count > 1_000)
        #expect(try second.texts(after) == first.texts(after))
        let agents = "SELECT name, trades, fees, joined_ms FROM simulation_agents ORDER BY name"
        #expect(try second.texts(agents) == first.texts(agents))
        let wallets = "SELECT owner, currency, available FROM wallets WHERE owner LIKE 'agent:%' ORDER BY owner, currency"
        #expect(try second.texts(wallets) == first.texts(wallets))
        #expect(try Ledger(second.exchange).differences() == [])
        // The crowd has come there, too.
        #expect(try second.number("SELECT count(*) FROM accounts") == 5)
    }

    @Test func aDamagedSnapshotIsRefusedAndTheOneBeforeServes() throws {
        let stage = try Stage()
        let files = inFiles(stage)
        for index in Int64(0) ..< 3 {
            try live(stage, index ..< index + 1)
            #expect(try stage.snapshot(at: noon + index * 30_000, files).number == index + 1)
        }
        func file(_ number: Int) -> String { stage.folder.appending(path: "kept/arena/main.\(number).json").path }
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: file(3))))
        bytes[40] ^= 1
        try Data(bytes).write(to: URL(filePath: file(3)))
        let whole = [UInt8](try Data(contentsOf: URL(filePath: file(2))))
        try Data(whole[..<(whole.count / 2)]).write(to: URL(filePath: file(2)))

        let other = try Stage()
        let report = try other.snapshot(SnapshotOrder(.resume), files)
        let place = stage.folder.appending(path: "kept/arena/main.*.json").path
        #expect(report.lines.map(\.text) == [
            "snapshot 3 in \(place) is refused: its checksum does not fit, it was damaged or changed",
            "snapshot 2 in \(place) is refused: it is cut off, or no snapshot",
        ])
        #expect(report.number == 1)
        #expect(try other.number("SELECT ticks FROM simulations") == 1)
        // One that was asked for is not replaced by another.
        let third = try Stage()
        let refusal = #expect(throws: JobFailure.self) { try third.snapshot(SnapshotOrder(.resume, number: 2), files) }
        #expect(refusal?.text == "snapshot 2 in \(place) is refused: it is cut off, or no snapshot")
        // The next one is the fourth, and takes nothing away that can be read.
        try live(stage, 3 ..< 4)
        #expect(try stage.snapshot(at: noon + 100_000) { files(&$0); $0.keep = 2 }.number == 4)
        #expect(try FileManager.default.contentsOfDirectory(atPath: stage.folder.appending(path: "kept/arena").path).sorted() == [
            "main.1.json", "main.2.json", "main.3.json", "main.4.json",
        ])
    }

    @Test func olderOnesAreTakenAwayAndNothingElseIsLeft() throws {
        let stage = try Stage()
        let files = inFiles(stage)
        for index in Int64(0) ..< 5 {
            try live(stage, index ..< index + 1)
            try stage.snapshot(at: noon + index * 30_000) { files(&$0); $0.keep = 2 }
            try stage.snapshot(at: noon + index * 30_000) { $0.keep = 3 }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: stage.folder.appending(path: "kept/arena").path).sorted() == [
            "main.4.json", "main.5.json",
        ])
        #expect(try stage.texts("SELECT namespace, id, number FROM simulation_snapshots ORDER BY number") == [
            "arena main 3", "arena main 4", "arena main 5",
        ])
    }

    @Test func aFileIsNoLargerThanCanBeReadAgain() throws {
        let stage = try Stage()
        let shelf = FileShelf(folder: stage.folder.path, namespace: "arena", id: "main")
        let text = String(repeating: "x", count: FileShelf.largest)
        try shelf.put(1, text, at: noon)
        #expect(try shelf.text(1) == text)
        let refusal = #expect(throws: JobFailure.self) { try shelf.put(2, text + "x", at: noon) }
        #expect(refusal?.text == #"snapshot 2 is 4,194,305 bytes, files hold up to 4 MB; keep it with store = "database""#)
        #expect(try shelf.numbers() == [1])
    }

    /// After its database was lost and somebody let it tick before it was resumed.
    @Test func aMarketBegunAnewDoesNotPushOutTheOneThatWasLost() throws {
        let lost = try Stage()
        let files = inFiles(lost)
        try live(lost, 0 ..< 4)
        try lost.snapshot(at: noon + 200_000, files)
        let fresh = try Stage()
        try live(fresh, 0 ..< 2)
        let place = lost.folder.appending(path: "kept/arena/main.*.json").path
        let refusal = #expect(throws: JobFailure.self) { try fresh.snapshot(at: noon + 200_000, files) }
        #expect(refusal?.text == "\(place) holds a market that is further on: snapshot 1 is of its tick 4, this one is at 2; "
            + "resume it, or choose another id")
        #expect(try fresh.snapshot { files(&$0); $0.id = "other" }.number == 1)
        // Who goes back on purpose keeps on saving.
        try fresh.snapshot(SnapshotOrder(.reset), at: noon + 200_000, cause: "reset:1")
        try fresh.snapshot(SnapshotOrder(.resume), at: noon + 210_000, cause: "resume:1", files)
        try live(fresh, 8 ..< 9)
        #expect(try fresh.snapshot(at: noon + 300_000, files).number == 2)
        try fresh.snapshot(SnapshotOrder(.reset), at: noon + 310_000, cause: "reset:2")
        try fresh.snapshot(SnapshotOrder(.resume, number: 1), at: noon + 320_000, cause: "resume:2", files)
        try live(fresh, 11 ..< 12)
        #expect(try fresh.snapshot(at: noon + 400_000, files).number == 3)
    }

    @Test func nothingNewIsNoSnapshot() throws {
        let stage = try Stage()
        #expect(try stage.snapshot().idle == "the simulation 'main' begins with its first tick")
        try live(stage, 0 ..< 1)
        #expect(try stage.snapshot(cause: "s:1").number == 1)
        #expect(try stage.snapshot(cause: "s:2").idle == "nothing has happened in 'main' since snapshot 1")
        try live(stage, 1 ..< 2)
        #expect(try stage.snapshot(cause: "s:1", isRetry: true).idle == "snapshot 1 was taken by the attempt before")
        #expect(try stage.snapshot(cause: "s:3").number == 2)
    }

    @Test func aLivingSimulationIsNotTakenBackUnlessItIsReset() throws {
        let stage = try Stage()
        try live(stage, 0 ..< 3)
        try stage.snapshot()
        try live(stage, 3 ..< 6)
        let refusal = #expect(throws: JobFailure.self) { try stage.snapshot(SnapshotOrder(.resume)) }
        #expect(refusal?.text == "the simulation 'main' is alive, at 2025-12-29 15:00 of its time; to go back to snapshot 1 "
            + #"(2025-12-29 13:30) reset it first: {"action": "reset"}"#)
        let was = try stage.texts(trades + " WHERE t.ts_ms >= \(noon - 7 * 86_400_000 + 5_400_000) ORDER BY t.ts_ms, p.symbol, t.id")
        #expect(was.count > 200)
        try stage.snapshot(SnapshotOrder(.reset), at: noon + 200_000, cause: "reset:1")
        #expect(try stage.number("SELECT count(*) FROM trades") == 0)
        #expect(try stage.snapshot(SnapshotOrder(.resume), at: noon + 210_000, cause: "resume:1").number == 1)
        try live(stage, 8 ..< 11)
        #expect(try stage.texts(trades + " WHERE t.ts_ms >= \(noon - 7 * 86_400_000 + 5_400_000) ORDER BY t.ts_ms, p.symbol, t.id") == was)
        #expect(try Ledger(stage.exchange).differences() == [])
    }

    /// Begun anew, a market is the one that its seed makes; what candles and tickers know follows.
    @Test func resetBeginsTheSameMarketAgain() throws {
        let stage = try Stage()
        let connection = stage.exchange.connection
        let candles = Exchange(connection: connection, place: "memory", statements: .candles)
        let tickers = Exchange(connection: connection, place: "memory", statements: .tickers)
        func read(_ now: Int64) throws {
            var run = try CandleRun(candles, CandlePlan(CandlesEntry.Settings()), now: now)
            try run.run(isCancelled: { false })
            var other = TickerRun(tickers, TickersEntry.Settings(), now: now)
            try other.run(isCancelled: { false })
        }
        let what = [
            trades + " ORDER BY t.ts_ms, p.symbol, t.id", "SELECT interval, open_ms, open, high, low, close, volume, trades FROM candles ORDER BY pair_id, interval, open_ms",
            "SELECT last, open, high, low, volume, trades FROM tickers ORDER BY pair_id", "SELECT name, equity, trades FROM simulation_agents ORDER BY name",
        ]
        for index in Int64(0) ..< 4 {
            try live(stage, index ..< index + 1)
            try read(noon + index * 30_000)
        }
        let before = try what.map { try stage.texts($0) }
        let report = try stage.snapshot(SnapshotOrder(.reset), at: noon + 120_000, cause: "reset:1")
        #expect(report.summary == "Reset 'main' at 2025-12-29 14:00 of its time: 2 pairs and 4 agents begin anew with the next tick")
        #expect(try stage.snapshot(SnapshotOrder(.reset), at: noon + 121_000, cause: "reset:1", isRetry: true).idle
            == "the simulation 'main' has not begun: there is nothing to reset")
        #expect(try stage.trade(at: noon + 122_000).idle == "the simulation 'main' begins with its first tick")
        for index in Int64(10) ..< 14 {
            // The same real time gives the same beginning.
            try stage.tick(at: noon + index * 30_000) { small(&$0); $0.start = "2025-12-29T12:00:00Z" }
            try stage.trade(at: noon + index * 30_000)
            try read(noon + index * 30_000)
        }
        let after = try what.map { try stage.texts($0) }
        #expect(after == before)
        #expect(before.map(\.count).allSatisfy { $0 > 1 })
        #expect(try Ledger(stage.exchange).differences() == [])
        #expect(try stage.number("SELECT ticks FROM simulations") == 8)
    }

    @Test func aReplayThatIsResetBeginsWithItsFile() throws {
        let stage = try Stage()
        let file = try stage.file((0 ..< 6).map { "\($0),\(1_570_752_005_000 + $0 * 1_200_000),buy,0.5,1" })
        let replay: (inout TickEntry.Settings) -> Void = {
            $0.mode = .historical; $0.simulation = "replay"; $0.file = file; $0.pair = "XRP/ETH"
        }
        try stage.tick(replay)
        try stage.tick(replay)
        try stage.snapshot(SnapshotOrder(.reset)) { $0.simulation = "replay" }
        #expect(try stage.number("SELECT count(*) FROM trades") == 0)
        #expect(try stage.tick(replay).summary == "Market 2019-10-11 00:30: 2 trades replayed into XRP/ETH")
        #expect(try stage.tick { replay(&$0); $0.speed = "max" }.trades == 4)
    }

    @Test(arguments: [
        (#"{"action": "forget"}"#, "payload: "), (#"{"act": "reset"}"#, "payload: there is no 'act'; there are action, number"),
        (#"{"action": "save", "number": 3}"#, #"payload: number is of {"action": "resume"} only"#), ("[]", "payload: "),
    ])
    func aPayloadThatIsNotUnderstoodDoesNothing(_ payload: String, _ sentence: String) throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let run = TestRun(settings: #"{"database": "\#(test.database)"}"#, payload: payload)
        #expect(run.run(SnapshotEntry.self) == .failed)
        #expect(run.text.hasPrefix(sentence))
    }

    @Test func theEntrySavesResetsAndResumes() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        func run(_ payload: String = "") -> String {
            let run = TestRun(settings: #"{"database": "\#(test.database)"}"#, payload: payload)
            let code = run.run(SnapshotEntry.self)
            return "\(code): \(run.text.prefix { $0 != ":" })"
        }
        let tick = TestRun(settings: #"{"database": "\#(test.database)"}"#)
        #expect(tick.run(TickEntry.self) == .succeeded)
        #expect(run() == "succeeded: Snapshot 1 of 'main' in simulation_snapshots (arena, main)")
        #expect(run("{}") == "nothingToDo: nothing has happened in 'main' since snapshot 1")
        #expect(run(#"{"action": "reset"}"#).hasPrefix("succeeded: Reset 'main' at"))
        #expect(run(#"{"action": "resume", "number": 1}"#).hasPrefix("succeeded: Resumed 'main' from snapshot 1"))
        #expect(test.doctor(SnapshotEntry.self, at: noon).map { $0.prefix(39) } == ["ok snapshots: 1 in simulation_snapshots"])
        #expect(test.doctor(SnapshotEntry.self, at: noon, #""store": "file", "folder": "/proc/nowhere/x""#).map { $0.prefix(30) } == [
            "error folder: /proc/nowhere/x ", "ok snapshots: there is none in",
        ])
    }

    @Test func aFolderThatCannotBeMadeIsTriedAgain() throws {
        let stage = try Stage()
        try live(stage, 0 ..< 1)
        let refusal = #expect(throws: JobFailure.self) {
            try stage.snapshot { $0.store = .file; $0.folder = "/proc/nowhere" }
        }
        #expect(refusal?.kind == .transient)
        #expect(refusal?.text == "cannot make the folder /proc/nowhere: No such file or directory")
    }

    @Test(arguments: [
        (#""namespace": "../etc""#, "namespace: \"../etc\" is no name"), (#""id": "a/b""#, "id: \"a/b\" is no name"),
        (#""simulation": "two words""#, "simulation (it is the id): \"two words\" is no name"), (#""keep": 1"#, "keep: 1 is out of range"),
    ])
    func settingsThatCannotBeAreRefused(_ settings: String, _ sentence: String) {
        #expect(TestRun(settings: "{\(settings)}").validate(SnapshotEntry.self)?.hasPrefix(sentence) == true)
    }
}
