import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// Places of jobs that are gone.
@Suite("Jobs that are gone for good") struct VacantTests: DispatchStory {
    @Test("A thousand generations with another name each leave no more behind than a few")
    func thousand() {
        var host = host()
        for number in 1...1_000 {
            host.apply([SimulatedHost.job("j\(number)", every(3_600))], generation: Int64(number))
            host.advance(by: .milliseconds(100))
        }
        #expect(host.dispatcher.jobs.count <= 3)
        #expect(host.dispatcher.index.count <= 3)
        host.advance(to: at("01:00:00"))
        #expect(host.started.map(\.job) == ["j1000"])
        #expect(host.cursors.count == 1_000, "each has been settled in the store")
    }

    @Test("One that runs, or of which the store owes an answer, keeps its place until then")
    func busy() {
        var host = host()
        func fresh(_ number: Int) -> JobConfig { SimulatedHost.job("n\(number)", .none) }
        host.apply([SimulatedHost.job("a", .none), SimulatedHost.job("b", every(10))])
        host.enqueue("a")
        host.answersLate = true
        for number in 2...5 { host.apply([fresh(number)], generation: Int64(number)) }
        let names = Set(host.dispatcher.jobs.map(\.name))
        #expect(names.isSuperset(of: ["a", "b"]))
        host.answer()
        host.end(.succeeded)
        for number in 6...9 { host.apply([fresh(number)], generation: Int64(number)) }
        #expect(host.rows.values.map(\.outcome) == [.succeeded])
        #expect(host.dispatcher.index["a"] == nil && host.dispatcher.index["b"] == nil)
        #expect(host.dispatcher.jobs.count <= 6)
    }

    @Test("One that comes back is as one that comes after a restart: it fires from then on, and nothing acts in its old place")
    func comesBack() {
        var host = host()
        let (a, other) = (SimulatedHost.job("a", every(10)), SimulatedHost.job("z", .none))
        host.apply([a])
        for number in 2...4 { host.apply([other], generation: Int64(number)) }
        #expect(host.dispatcher.index["a"] == nil)
        host.advance(to: at("00:00:35"))
        var row = JobStateRow()
        (row.cursor, row.scheduleText) = (host.cursors["a"], host.texts["a"] ?? "")
        #expect(row.scheduleText == ScheduleSpec.none.text)
        host.apply([a, other], generation: 5, rows: ["a": row])
        host.setClock("2025-12-31T12:00:00Z")
        host.advance(by: .seconds(90))
        let moves = host.moves.filter(\.rewind).map(\.job)
        #expect(moves.filter { $0 == "a" }.count == 1, "\(moves)")
        #expect(host.started.map(\.job) == ["a"])
    }
}
