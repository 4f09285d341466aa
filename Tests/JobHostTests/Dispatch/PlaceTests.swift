import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// A job's places and a pool's workers: who waits for them, who gets them, who gives them back.
@Suite("Places and who takes them") struct PlaceTests: DispatchStory {
    @Test("A waiting run whose claim comes back when the held fire has started is given back")
    func waitingBehindHeld() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10))])
        host.advance(to: at("00:00:09.900"))
        host.answersLate = true
        host.enqueue("a")
        host.advance(to: at("00:00:10"))
        #expect(host.started.map(\.trigger) == [.schedule])
        host.answer()
        #expect(host.started.map(\.trigger) == [.schedule])
        host.end(.succeeded)
        #expect(host.started.map(\.trigger) == [.enqueued])
    }

    @Test("The host itself is late: what found the job free at its time waits, and is not called an overlap")
    func hostIsLate() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(1))])
        host.advance(to: at("00:00:00.900"))
        host.now = Now(wall: at("00:00:02.100"), monotonic: host.now.monotonic + .milliseconds(1_200))
        host.send(.tick)
        #expect(host.started.map(\.fireTime) == [at("00:00:01")])
        #expect(host.ranges["a"] ?? [] == [])
        host.end(.succeeded)
        #expect(host.started.map(\.fireTime) == [at("00:00:02")])
        host.advance(to: at("00:00:03.100"))
        #expect(host.ranges["a"]?.map(\.reason) == [.overlap], "that one runs at its time")
    }

    @Test("A fire that began to wait while the store was asked is not forgotten by the answer")
    func waitsSince() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(1)) { $0.overlap = .queue }])
        host.advance(to: at("00:00:01"))
        host.answersLate = true
        host.send(.sweep)
        host.advance(to: at("00:00:02.100"))
        host.answer()
        #expect(host.dispatcher.jobs[0].waitingFires.count == 1)
        host.advance(to: at("00:00:03.100"))
        #expect(host.runs("a", .available).count == 1, "one waits, not two")
    }

    @Test("Fires that find no worker do not pile up: one of them holds the job's place")
    func saturated() {
        var host = host()
        let hog = SimulatedHost.job("hog", .none)
        host.apply([hog], workers: 1)
        host.enqueue("hog")
        host.apply([hog, SimulatedHost.job("a", every(1))], workers: 1, generation: 2)
        host.advance(to: at("00:00:10.500"))
        #expect(host.runs("a").map(\.state) == [.available])
        #expect((host.ranges["a"] ?? []).reduce(0) { $0 + $1.count } == 9)
        host.end(.succeeded)
        #expect(host.started.map(\.fireTime) == [at("00:00:01")])
    }

    @Test("A fixed delay counts from the end of its run, though the run waits long for a worker")
    func delayWaits() {
        var host = host()
        let hog = SimulatedHost.job("hog", .none)
        host.apply([hog], workers: 1)
        host.enqueue("hog")
        host.apply([hog, SimulatedHost.job("a", .afterFinish(.seconds(5)))], workers: 1, generation: 2)
        host.advance(to: at("00:01:00"))
        #expect(host.ledgerCount("a") == 1)
        host.end(.succeeded)
        host.advance(to: at("00:01:10"))
        host.end(.succeeded)
        host.advance(to: at("00:01:15"))
        #expect(host.fires("a") == ["00:00:05", "00:01:15"])
    }

    @Test("Claims ahead are for free workers only")
    func aheadOfWorkers() {
        var host = host()
        host.apply((0..<5).map { SimulatedHost.job("j\($0)", every(10)) }, workers: 2)
        host.advance(to: at("00:00:09"))
        #expect(host.claims.count == 2)
        host.advance(to: at("00:00:10"))
        #expect(host.started.count == 2)
        while !host.started.isEmpty { host.end(.succeeded) }
        #expect((0..<5).allSatisfy { host.runs("j\($0)", .succeeded).count == 1 })
    }

    @Test("A queued fire that an operator cancels makes room for the next")
    func queuedAndCancelled() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10)) { $0.overlap = .queue }])
        host.advance(to: at("00:00:25"))
        let queued = host.rows.first { $0.value.state == .available }!.key
        host.rows[queued]!.state = .cancelled
        host.end(.succeeded)
        host.advance(to: at("00:00:45"))
        #expect(host.fires("a") == ["00:00:10", "00:00:30"])
        #expect(host.runs("a", .available).map(\.fireTime) == [at("00:00:40")])
    }

    @Test("A fire that the room gives back unstarted waits again, and a fixed delay still counts from its end", arguments: [
        ScheduleSpec.afterFinish(.seconds(5)), .adaptive(min: .seconds(5), max: .seconds(5)),
    ])
    func returnedFireKeepsItsPlace(spec: ScheduleSpec) {
        var host = host()
        let hog = SimulatedHost.job("hog", .none) { $0.priority = 100 }
        host.apply([hog, SimulatedHost.job("a", spec)], workers: 1)
        host.advance(to: at("00:00:05.500"))
        #expect(host.started.map(\.job) == ["a"])
        // Its worker falls under a sibling before it began, and the sibling is first again.
        host.enqueue("hog")
        let fire = host.started.removeFirst()
        host.send(.returned(run: fire.run))
        #expect(host.started.map(\.job) == ["hog"])
        host.advance(to: at("00:01:00"))
        #expect(host.ledgerCount("a") == 1)
        host.end(.succeeded)
        #expect(host.started.map(\.run) == [fire.run])
        host.end(.succeeded)
        host.advance(to: at("00:01:04"))
        #expect(host.ledgerCount("a") <= 2)
        host.advance(to: at("00:01:05"))
        #expect(host.started.map(\.fireTime) == [at("00:01:05")])
    }

    @Test("Jobs of one pool take turns; the higher priority first")
    func turns() {
        var host = host()
        host.apply([
            SimulatedHost.job("a", .none) { $0.concurrency = 4 }, SimulatedHost.job("b", .none) { $0.concurrency = 4 },
            SimulatedHost.job("urgent", .none) { $0.priority = 1 },
        ], workers: 1)
        for _ in 0..<4 { host.enqueue("a") }
        for _ in 0..<4 { host.enqueue("b") }
        host.enqueue("urgent")
        var order: [String] = []
        while let next = host.started.first {
            order.append(next.job)
            host.advance(by: .seconds(1))
            host.end(.succeeded)
        }
        #expect(order == ["a", "urgent", "a", "b", "a", "b", "a", "b", "b"])
    }

    @Test("A pool that goes and comes back while a run is under way is counted right")
    func poolsComeBack() {
        var host = host()
        func job(isolated: Bool) -> JobConfig { SimulatedHost.job("a", .none) { $0.isolate = isolated } }
        host.apply([job(isolated: true)], workers: 1)
        host.enqueue("a")
        host.apply([job(isolated: false)], workers: 1, generation: 2)
        host.apply([job(isolated: true)], workers: 1, generation: 3)
        #expect(host.dispatcher.pools["p/a"]?.busy == 1)
        host.end(.succeeded)
        #expect(host.dispatcher.pools["p/a"]?.busy == 0)
    }

    @Test("consume = false: nothing that waits is claimed here")
    func consumesNothing() {
        var host = host()
        host.dispatcher.settings.consumes = false
        host.apply([SimulatedHost.job("a", .none)])
        host.enqueue("a")
        host.advance(by: .seconds(10))
        #expect(host.asked.isEmpty)
    }

    @Test("An enqueued run waits for an open breaker and starts when it lets a probe through")
    func waitsForBreaker() {
        var host = host()
        host.apply([SimulatedHost.job("a", .none) {
            $0.breaker = BreakerPolicy(failures: 1, openFor: .seconds(10), successes: 1)
        }])
        host.enqueue("a", maxAttempts: 1)
        host.end(.failed)
        host.enqueue("a")
        #expect(host.started.isEmpty)
        host.advance(to: at("00:00:10.499"))
        #expect(host.started.isEmpty)
        host.advance(to: at("00:00:10.500"))
        #expect(host.started.count == 1)
    }

    @Test("A probe that is returned or cancelled gives its permit to the next", arguments: [true, false])
    func probeGivenBack(isReturned: Bool) {
        var host = host()
        host.apply([SimulatedHost.job("a", .none) {
            $0.breaker = BreakerPolicy(failures: 1, openFor: .seconds(10), successes: 1)
        }])
        host.enqueue("a", maxAttempts: 1)
        host.end(.failed)
        host.enqueue("a")
        host.enqueue("a")
        host.advance(to: at("00:00:11"))
        #expect(host.started.count == 1)
        if isReturned { host.send(.returned(run: host.started.removeFirst().run)) } else { host.end(.cancelled) }
        #expect(host.started.count == 1)
    }

    @Test("A cancelled held fire does not end the run that is under way")
    func cancelHeld() {
        var host = host()
        host.apply([SimulatedHost.job("a", .afterFinish(.seconds(5)))])
        host.advance(to: at("00:00:04"))
        host.enqueue("a")
        let held = host.dispatcher.jobs[0].held.first!
        host.perform(host.dispatcher.cancel(held, now: host.now))
        host.advance(to: at("00:00:30"))
        #expect(host.runs("a").map(\.state) == [.cancelled, .running])
    }
}
