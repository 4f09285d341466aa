import Foundation
import JobKit
import SQL
import Testing

@testable import ExchangeKit

/// The frame of a run, what it reports, and its caps.
@Suite struct RunTests {
    struct Report: RunReport {
        var notes = RunNotes(mostErrors: 2, mostDetails: 1)
    }
    struct Settings: MoneySettings {
        var database = ""
        var lockTimeout = Span.zero
        var sql: [String: String] = [:]
        var mode = MoneyMode.live
    }

    private func withSettings(_ body: (Settings) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "run-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        var settings = Settings()
        settings.database = "sqlite:\(folder.path)/exchange.db"
        try Exchange.openSimulation(settings.location, statements: StatementSet([:]), at: 0).exchange.close()
        try body(settings)
    }

    @Test func `A run has one instant, and knows how long it has taken`() throws {
        try withSettings { settings in
            let clock = ExchangeClock.fixed(17)
            let outcome = try settings.onExchange(StatementSet([:]), clock: clock) { exchange, time in
                try exchange.putCheckpoint("test", 1, at: time.now)
                return .succeeded("\(time.now) \(time.milliseconds)")
            }
            #expect(outcome == .succeeded("17 0"))
        }
    }

    @Test func `With mode off nothing is opened`() throws {
        var settings = Settings()
        settings.mode = .off
        #expect(try settings.onExchange(StatementSet([:])) { _, _ in .succeeded() } == .nothingToDo("mode is off"))
    }

    @Test func `A lock met outside of a transaction is tried again later`() throws {
        try withSettings { settings in
            let other = try Exchange.open(settings.location, statements: StatementSet([:]))
            defer { other.close() }
            try other.write {
                let failure = #expect(throws: JobFailure.self) {
                    try settings.onExchange(StatementSet([:])) { exchange, time in
                        try exchange.putCheckpoint("test", 1, at: time.now)
                        return .succeeded()
                    }
                }
                #expect(failure?.kind == .transient)
            }
        }
    }

    @Test func `One sentence says what was done, that nothing was written, and how long it took`() {
        var report = Report()
        #expect(report.summary("Checked 2 orders", ["1 updated"], milliseconds: 5) == "Checked 2 orders: 1 updated, 0 errors (5ms)")
        report.fail("order 1: broken")
        let shadow = report.summary("Checked 2 orders", [], .shadow, milliseconds: 5)
        #expect(shadow == "Checked 2 orders (shadow, nothing written): 1 error (5ms)")
        #expect(report.outcome("text") == .succeeded("text"))
        #expect(report.outcome("text", hasFailed: true) == .failed("text", code: 2))
        report.halt = "too much"
        #expect(report.outcome("text", hasFailed: true) == .failed("Halted: too much. text", code: 1))
    }

    @Test func `Every failure is counted, the first are told, an alert is none`() {
        var report = Report()
        report.alert("look")
        for number in 1 ... 3 { report.fail("error \(number)") }
        for number in 1 ... 3 { report.debug("detail \(number)") }
        #expect(report.errors == 3)
        #expect(report.lines.map(\.text) == ["look", "error 1", "error 2", "detail 1"])
        #expect(report.lines.map(\.level) == [.critical, .error, .error, .debug])
    }

    @Test func `What every item would meet concerns the run`() {
        let all: [any Error] = [
            CancellationNotice(), JobFailure.transient("locked"), JobFailure.badSettings("sql.orders: no such table"),
            SQLError(.busy, "locked"),
        ]
        #expect(all.filter { !$0.concernsTheRun }.isEmpty)
        let one: [any Error] = [
            JobFailure.permanent("the side 'x' is neither buy nor sell"), AmountError.outOfRange,
            SQLError(.constraint, "a wallet is below zero"),
        ]
        #expect(one.filter(\.concernsTheRun).isEmpty)
    }

    @Test func `A cap is reached by as many as it allows`() {
        let caps = CountCaps("orders", perRun: 2, perHour: 5)
        #expect(caps.reached(inRun: 1, inHour: 4) == nil)
        #expect(caps.reached(inRun: 2, inHour: 5) == "max_orders_per_run (2) is reached")
        #expect(caps.reached(inRun: 1, inHour: 5) == "max_orders_per_hour (5) is reached")
    }

    @Test func `Amounts that make no sense are refused by name`() throws {
        try AmountRules.notNegative(["max_size": .zero])
        let below = #expect(throws: JobFailure.self) { try AmountRules.notNegative(["tolerance": Amount(1), "max_size": Amount(-1)]) }
        #expect(below == .badSettings("max_size: -1 is below 0"))
        try AmountRules.positive(["max_amount": ["BTC": Amount(1)], "max_per_run": [:]])
        let none = #expect(throws: JobFailure.self) { try AmountRules.positive(["max_amount": ["BTC": .zero]]) }
        #expect(none == .badSettings("max_amount.BTC: 0 is not above 0"))
    }
}
