import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// Claims, cursors and waiting fires that a step of the clock has put elsewhere.
@Suite("The clock steps") struct ClockStepTests: DispatchStory {
    @Test("Held claims that the clock, set back, has put far away do not block the job")
    func heldFarAway() {
        var host = host("01:00:00.500")
        host.apply([SimulatedHost.job("a", every(10))])
        host.advance(to: at("01:00:09"))
        host.setClock("2026-01-01T00:00:09Z")
        host.advance(by: .seconds(120))
        #expect(host.startedAt.count >= 1)
        #expect(host.runs("a").first?.state == .available)
    }

    @Test("A fire that waits in the far future, by a clock that was wrong, does not block the job", arguments: [
        ScheduleSpec.every(.seconds(10), phase: .zero), .afterFinish(.seconds(10)),
    ])
    func waitsFarAway(spec: ScheduleSpec) {
        var host = host()
        let hog = SimulatedHost.job("hog", .none)
        host.apply([hog], workers: 1)
        host.enqueue("hog")
        host.apply([hog, SimulatedHost.job("a", spec)], workers: 1, generation: 2)
        host.advance(to: at("00:00:15"))
        #expect(host.runs("a").map(\.state) == [.available])
        host.setClock("2025-01-01T00:00:00Z")
        host.end(.succeeded)
        host.advance(by: .seconds(90))
        #expect(host.started.map(\.job) == ["a"])
    }

    @Test("A reload while the clock is held claims nothing")
    func reloadInHold() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10))])
        host.setClock("2026-01-01T01:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(7))], generation: 2)
        #expect(host.rows.isEmpty)
        #expect(host.ranges["a"] ?? [] == [])
    }

    @Test("What comes first after the clock was set, be it an answer of the store, is judged as the alarm would be")
    func answerFirst() {
        var host = host("00:00:09")
        host.apply([SimulatedHost.job("a", every(10)) { $0.catchUp = CatchUp(policy: .latest) }])
        host.answersLate = true
        host.advance(to: at("00:00:09.500"))
        #expect(host.claims.count == 1, "a claim is under way")
        let moves = host.moves.count
        host.now.wall = Instant(rfc3339: "2027-01-01T00:00:09.500Z")!
        host.answer()
        host.send(.wait(jobs: ["a"]))
        #expect(host.claims.count == 1)
        #expect(host.moves.count == moves)
        #expect(host.started.isEmpty)
        #expect(host.notes.map(\.kind) == [.rewound])
    }

    @Test("A switch or a reload that comes first after the clock was set decides nothing by it")
    func switchFirst() {
        for step in 0..<3 {
            var host = host()
            let jobs = [SimulatedHost.job("a", every(10))]
            host.apply(jobs)
            let moves = host.moves.count
            host.now.wall = Instant(rfc3339: "2027-01-01T00:00:09.500Z")!
            switch step {
            case 0: host.perform(host.dispatcher.setHostControl(ControlRow(paused: true), now: host.now))
            case 1: host.perform(host.dispatcher.setControl(job: "a", ControlRow(paused: true), now: host.now))
            default: host.apply(jobs, generation: 2)
            }
            #expect(host.claims.isEmpty)
            #expect(host.moves.count == moves)
        }
    }

    @Test("A life that begins with a cursor far in the future sets it back")
    func bornAhead() {
        var host = host()
        var row = JobStateRow()
        row.cursor = Instant(rfc3339: "2027-01-01T00:00:00Z")!
        row.scheduleText = every(10).text
        host.apply([SimulatedHost.job("a", every(10))], rows: ["a": row])
        host.advance(to: at("00:00:10"))
        #expect(host.fires("a") == ["00:00:10"])
        #expect(host.moves.map(\.rewind) == [true])
    }

    @Test("An opening that ends far in the future, by a clock that was wrong in an earlier life, lasts no longer than open_for")
    func bornOpen() {
        let policy = BreakerPolicy(failures: 1, openFor: .seconds(60), successes: 1)
        var breaker = Breaker(policy: policy)
        _ = breaker.record(.failed, generation: 1, wasProbe: false, now: Instant(rfc3339: "2027-01-01T00:00:00Z")!)
        var row = JobStateRow()
        row.cursor = Instant(rfc3339: "2026-01-01T00:00:00Z")!
        row.scheduleText = every(90).text
        row.breaker = BreakerRow(breaker.encoded, generation: BreakerRow.first + 1)
        var host = host()
        host.apply([SimulatedHost.job("a", every(90)) { $0.breaker = policy }], rows: ["a": row])
        host.advance(to: at("00:01:30"))
        #expect(host.started.map(\.job) == ["a"])
    }

    @Test("An edit while the cursor is being set back: the old rule accounts for the time until then")
    func editInRewind() {
        var host = host()
        var row = JobStateRow()
        row.cursor = Instant(rfc3339: "2027-01-01T00:00:00Z")!
        row.scheduleText = every(1).text
        host.answersLate = true
        host.apply([SimulatedHost.job("a", every(1))], rows: ["a": row])
        host.advance(to: at("00:00:05.500"))
        host.apply([SimulatedHost.job("a", every(3600))], generation: 2)
        host.answer()
        #expect(host.ledgerCount("a") == 5)
        #expect(host.texts["a"] == every(3600).text)
    }

    @Test("A small step back does not make a failed transaction wait for the clock")
    func backoffAndStep() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(3600))])
        host.storeAnswers = false
        host.apply([SimulatedHost.job("a", every(1800))], generation: 2)
        host.storeAnswers = true
        host.setClock("2025-12-31T23:55:00.500Z")
        host.advance(by: .seconds(1))
        #expect(host.texts["a"] == every(1800).text)
    }

}
