import JobCore
import JobStore
import Testing

@testable import JobHost

struct ActionsElsewhereTests {
    private static let noon = Instant(seconds: 1_764_547_200)

    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }

    private func row(_ id: Int64 = 0, _ action: String = "pause", by name: String = "ops", after seconds: Int64 = 0) -> AuditRow {
        var row = AuditRow(at: Self.noon + .seconds(seconds), actor: Actor(name: name, via: "cli"), action: action, job: "mint", detail: "")
        row.id = id
        return row
    }

    private func started(with rows: [AuditRow] = []) -> ActionsElsewhere {
        var actions = ActionsElsewhere()
        #expect(actions.new(among: rows, now: at(0)) == [])
        return actions
    }

    @Test("What is done here is not another host's, whether it is read before or after it was told, or an hour after it was done")
    func ownActions() {
        var actions = started(with: [row(7)])
        // It is in the store before this host has heard so.
        actions.expect(row(after: 1))
        #expect(actions.new(among: [row(8, after: 2), row(7)], now: at(2)) == [])
        // The same once more, on another host.
        #expect(actions.new(among: [row(9, after: 3), row(8, after: 2), row(7)], now: at(4)).map(\.id) == [9])
        // Kept while the store was away: dated as it was told.
        actions.expect(row(after: 10))
        #expect(actions.new(among: [row(9, after: 3)], now: at(3_600)) == [])
        #expect(actions.new(among: [row(12, by: "bob", after: 10), row(11, after: 10), row(10, "resume", after: 10)], now: at(3_610)).map(\.id) == [10, 12])
    }

    @Test("What ends without an attempt is told by the counters of all hosts, a dead letter that expired too; what was there before is not")
    func noRunsGrow() {
        var counts = NoRunCounts()
        let looks: [[String: Int64]] = [
            ["overlap": 4, "discarded": 2, "retry": 3], ["overlap": 4, "discarded": 2, "retry": 4],
            ["overlap": 4, "discarded": 3, "retry": 4], ["overlap": 4, "discarded": 3, "retry": 4, "expired": 1],
            ["overlap": 4, "discarded": 3, "retry": 4, "expired": 1],
        ]
        #expect(looks.map { counts.grow("mint", $0) } == [false, false, true, true, false])
        let other = counts.grow("other", ["overlap": 1])
        #expect(!other)
    }

    @Test func whatCameToNothingHereIsToldWhereItIsReadAllTheSame() {
        var actions = started()
        actions.expect(row(after: 1))
        actions.withdraw(row(after: 1))
        // The answer of the store was lost, the entry was not.
        #expect(actions.new(among: [row(1, after: 1)], now: at(1)).map(\.id) == [1])
    }

    @Test("Only what is new is asked for, and what commits late is found all the same for a minute")
    func isAskedForFromTheLastOn() {
        var actions = started(with: [row(20), row(18)])
        #expect(actions.after == 17)
        #expect(actions.new(among: [row(21), row(20), row(18)], now: at(30)).map(\.id) == [21])
        #expect(actions.new(among: [row(21), row(20), row(19), row(18)], now: at(59)).map(\.id) == [19])
        #expect(actions.new(among: [row(21), row(20), row(19), row(18)], now: at(61)) == [])
        #expect(actions.after == 20)
        #expect(actions.new(among: [row(21)], now: at(91)) == [])
        #expect(actions.after == 21)
        #expect(actions.new(among: [row(22)], now: at(1_000)).map(\.id) == [22])
        #expect(started().after == 0)
    }
}
