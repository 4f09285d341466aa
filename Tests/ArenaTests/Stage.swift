import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit

@testable import Arena

/// 2026-01-05T12:00:00Z
let noon: Int64 = 1_767_614_400_000

/// A simulated exchange in memory, and a folder that goes when the test does.
final class Stage {
    let test: TestExchange
    let folder: URL

    var exchange: Exchange { test.exchange }

    init() throws {
        test = try TestExchange(statements: .arena, at: noon)
        folder = FileManager.default.temporaryDirectory.appending(path: "arena-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(at: folder) }

    @discardableResult
    func tick(
        at now: Int64 = noon, job: String = "arena-tick", cause: String = "", isRetry: Bool = false,
        cancelledAfter batches: Int = .max, _ change: (inout TickEntry.Settings) -> Void = { _ in }
    ) throws -> TickResult {
        var settings = TickEntry.Settings()
        change(&settings)
        let driver = ArenaDriver(job: job, cause: cause, isRetry: isRetry, now: now)
        var tick = ArenaTick(exchange, try ArenaPlan(settings), driver)
        var asked = 0
        return try tick.run(isCancelled: { asked += 1; return asked > batches }) { _, _, _ in }
    }

    /// One run of the trade window.
    @discardableResult
    func trade(
        at now: Int64 = noon, job: String = "arena-window", cause: String = "", isRetry: Bool = false, mind: (any AgentMind)? = nil,
        cancelledAfter agents: Int = .max, _ change: (inout TradeWindowEntry.Settings) -> Void = { _ in }
    ) throws -> WindowReport {
        var settings = TradeWindowEntry.Settings()
        change(&settings)
        let driver = ArenaDriver(job: job, cause: cause, isRetry: isRetry, now: now)
        var run = WindowRun(exchange, try WindowPlan(settings), driver, mind: mind)
        var asked = 0
        try run.run { asked += 1; return asked > agents }
        return run.report
    }

    /// One run of the snapshot entry.
    @discardableResult
    func snapshot(
        _ order: SnapshotOrder = SnapshotOrder(), at now: Int64 = noon, cause: String = "", isRetry: Bool = false,
        _ change: (inout SnapshotEntry.Settings) -> Void = { _ in }
    ) throws -> SnapshotReport {
        var settings = SnapshotEntry.Settings()
        change(&settings)
        let driver = ArenaDriver(job: "arena-snapshot", cause: cause, isRetry: isRetry, now: now)
        var run = SnapshotRun(exchange, settings, driver)
        try run.run(order)
        return run.report
    }

    /// A file of trades in the folder.
    func file(_ lines: [String], header: String = "id,ts_ms,side,price,amount", name: String = "trades.csv") throws -> String {
        let path = folder.appending(path: name).path
        try (([header] + lines).joined(separator: "\n") + "\n").write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    func texts(_ sql: String) throws -> [String] { try test.texts(sql) }
    func number(_ sql: String) throws -> Int64 { try test.number(sql) }
}
