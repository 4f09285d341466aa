import JobConfig
import JobCore
import Testing

@testable import JobHost

@Suite("Jobs with a rate") struct RateTests {
    private func host(schedule: ScheduleSpec = .none, _ change: (inout JobConfig) -> Void = { _ in }) -> SimulatedHost {
        var host = SimulatedHost(at: "2026-01-01T00:00:00Z")
        host.apply([SimulatedHost.job("a", schedule) { job in
            job.rate = RateLimit(runs: 2, per: .seconds(60))
            change(&job)
        }])
        return host
    }

    @Test("Used up, the store is asked again when there is room, whatever is enqueued meanwhile; then it goes on")
    func waits() {
        var host = host()
        host.rated["a"] = Instant(rfc3339: "2026-01-01T00:00:40Z")!
        host.enqueue("a")
        host.asked = []
        host.enqueue("a")
        host.advance(to: "2026-01-01T00:00:39Z")
        #expect(host.asked.isEmpty && host.started.isEmpty)
        host.advance(to: "2026-01-01T00:00:40Z")
        #expect(host.started.count == 1)
        host.end(.succeeded)
        #expect(host.started.count == 1, "the second one")
    }

    @Test("Nothing of it is claimed ahead, however short its runs are")
    func noneAhead() {
        var host = host()
        for _ in 0..<3 {
            host.enqueue("a")
            host.advance(by: .microseconds(100))
            host.end(.succeeded)
        }
        for _ in 0..<20 { host.enqueue("a") }
        #expect(host.runs("a", .running).count == 1)
    }

    @Test("A fire goes through the same door: it waits, keeps its place, and the next one is an overlap")
    func fires() {
        var host = host(schedule: .every(.seconds(10), phase: .zero))
        host.rated["a"] = Instant(rfc3339: "2026-01-01T00:00:35Z")!
        host.advance(to: "2026-01-01T00:00:34Z")
        #expect(!host.claims.contains { !$0.waits })
        #expect(host.runs("a", .available).count == 1)
        #expect(host.ranges["a"]?.map(\.reason) == [.overlap, .overlap])
        host.advance(to: "2026-01-01T00:00:35Z")
        #expect(host.started.map(\.fireTime) == [Instant(rfc3339: "2026-01-01T00:00:10Z")!])
    }

    @Test("What is given back may be taken again: the store is asked when it has it")
    func givenBack() {
        var host = host { $0.concurrency = 2 }
        host.enqueue("a")
        host.enqueue("a")
        host.rated["a"] = Instant(rfc3339: "2026-01-01T00:00:50Z")!
        host.enqueue("a")
        host.end(.succeeded)
        #expect(host.started.count == 1)
        host.rated = [:]
        host.asked = []
        host.send(.returned(run: host.started[0].run))
        #expect(host.asked.count > 0)
        #expect(host.started.count == 3, "the one that came back among them")
    }

    @Test("An answer that was on its way when something was given back is outdated")
    func overtaken() {
        var host = host { $0.concurrency = 2 }
        host.enqueue("a")
        host.rated["a"] = Instant(rfc3339: "2026-01-01T00:00:50Z")!
        host.answersLate = true
        host.enqueue("a")
        host.rated = [:]
        host.send(.released(jobs: ["a"]))
        host.answer()
        #expect(host.started.count == 2)
    }

    @Test("However long its rate allows no more, the store is asked once a minute: another host may have given something back")
    func onceAMinute() {
        var host = host { $0.rate = RateLimit(runs: 2, per: .seconds(86_400)) }
        host.rated["a"] = Instant(rfc3339: "2026-01-01T20:00:00Z")!
        host.enqueue("a")
        host.asked = []
        host.advance(to: "2026-01-01T00:10:00Z")
        #expect(host.asked.count == 10)
        #expect(host.dispatcher.jobs[0].ratedUntil(host.now.wall) == Instant(rfc3339: "2026-01-01T20:00:00Z")!)
        host.rated = [:]
        host.advance(to: "2026-01-01T00:11:00Z")
        #expect(host.started.count == 1)
    }

    @Test("A fire that waits says how many this host knows to wait; where all may run side by side it competes with nobody", arguments: [
        (OverlapPolicy.skip, [0]), (.queue, [0, 1]), (.allow, [nil, nil, nil]),
    ])
    func described(overlap: OverlapPolicy, waiting: [Int?]) {
        var host = host(schedule: .every(.seconds(10), phase: .zero)) { $0.overlap = overlap }
        host.rated["a"] = Instant(rfc3339: "2026-01-01T00:00:55Z")!
        host.advance(to: "2026-01-01T00:00:34Z")
        #expect(host.claims.map(\.waiting) == waiting)
    }

    @Test("A fire that began elsewhere, or was cancelled, keeps the next one from nothing while the rate allows no more")
    func gone() {
        var host = host(schedule: .every(.seconds(100), phase: .zero)) { $0.rate = RateLimit(runs: 2, per: .seconds(86_400)) }
        host.rated["a"] = Instant(rfc3339: "2026-01-01T20:00:00Z")!
        host.advance(to: "2026-01-01T00:01:45Z")
        for id in host.rows.keys { host.rows[id]?.state = .cancelled }
        host.advance(to: "2026-01-01T00:03:25Z")
        #expect(host.runs("a", .available).count == 1)
        #expect(host.ranges["a"] ?? [] == [])
    }

    @Test("A reload that changes the rate asks anew; a clock that was set back does not hold it up")
    func anew() {
        var host = host()
        host.rated["a"] = Instant(rfc3339: "2026-01-01T00:01:00Z")!
        host.enqueue("a")
        host.rated = [:]
        host.apply([SimulatedHost.job("a", .none)], generation: 2)
        #expect(host.started.count == 1)

        var back = self.host()
        back.rated["a"] = Instant(rfc3339: "2026-01-01T00:01:00Z")!
        back.enqueue("a")
        back.rated = [:]
        back.setClock("2025-12-31T23:55:00Z")
        back.enqueue("a")
        #expect(back.started.count == 1)
    }
}
