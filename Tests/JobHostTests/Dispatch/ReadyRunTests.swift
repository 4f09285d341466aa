import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

@Suite("Waiting runs that are claimed ahead") struct ReadyRunTests {
    /// A host whose job `a` takes `run` for each attempt, as it has seen; then 100 runs wait.
    private func host(
        run: Duration, isShared: Bool = false, idempotent: Bool = true, _ change: (inout JobConfig) -> Void = { _ in }
    ) -> SimulatedHost {
        var settings = Dispatcher.Settings()
        settings.isShared = isShared
        var host = SimulatedHost(at: "2026-01-01T00:00:00Z", settings: settings)
        host.apply([SimulatedHost.job("a", .none, change)], idempotent: idempotent)
        host.enqueue("a")
        host.advance(by: run)
        host.end(.succeeded)
        host.asked = []
        // They come while the store is at the first.
        host.answersLate = true
        for _ in 0..<100 { host.enqueue("a") }
        host.answer()
        return host
    }

    @Test("Short ones come with one question to the store, and begin one after the other, in their order", arguments: [1, 3])
    func short(concurrency: Int) {
        var host = host(run: .milliseconds(1)) { $0.concurrency = concurrency }
        #expect(host.asked == [["a": 20 * concurrency], ["a": 20 * concurrency - 1]], "the one that came first, then the others")
        var begun: [RunID] = []
        while !host.started.isEmpty {
            #expect(host.started.count <= concurrency)
            begun.append(host.started[0].run)
            host.advance(by: .milliseconds(1))
            host.end(.succeeded)
        }
        #expect(begun.count == 100)
        #expect(begun == begun.sorted())
        #expect(host.asked.count < 40, "\(host.asked.count) questions for 100 runs")
    }

    @Test("Long ones are claimed when they can begin")
    func long() {
        var host = host(run: .milliseconds(20))
        #expect(host.runs("a", .running).count == 1)
        host.end(.succeeded)
        #expect(host.runs("a", .running).count == 1)
    }

    @Test("Where other hosts would take it for lost for good, nothing is claimed before it can begin",
        arguments: [(true, false, 4, 3), (true, true, 1, 3), (true, true, 4, 60), (false, false, 1, 60)])
    func lossIsFinal(isShared: Bool, idempotent: Bool, maxAttempts: Int, claimed: Int) {
        var host = host(run: .milliseconds(1), isShared: isShared, idempotent: idempotent) {
            $0.concurrency = 3
            $0.retry.maxAttempts = maxAttempts
        }
        #expect(host.runs("a", .running).count == claimed)
        var begun = 0
        while !host.started.isEmpty {
            begun += 1
            host.advance(by: .milliseconds(1))
            host.end(.succeeded)
            #expect(host.runs("a", .running).count <= claimed)
        }
        #expect(begun == 100)
    }

    @Test("What was claimed ahead and expires before its turn goes back, its attempt uncounted, and the others begin")
    func expires() {
        var host = host(run: .milliseconds(1))
        while !host.started.isEmpty {
            host.advance(by: .milliseconds(1))
            host.end(.succeeded)
        }
        host.answersLate = true
        for number in 0..<6 { host.enqueue("a", expires: number % 2 == 0 ? nil : host.now.wall + .milliseconds(number + 1)) }
        host.answer()
        let claimed = host.runs("a", .running).count
        #expect(claimed == 6)
        for _ in 0..<2 {
            host.advance(by: .milliseconds(10))
            host.end(.succeeded)
        }
        let back = host.runs("a", .available)
        #expect(back.count == 3 && back.allSatisfy { $0.expiresAt != nil && $0.attempt == 0 }, "\(back)")
        host.end(.succeeded)
        #expect(host.started.isEmpty)
        #expect(host.runs("a", .running).isEmpty)
    }

    @Test("A run that fails is not tried again where that would be at its expiry or later")
    func retriesEnd() {
        var host = host(run: .milliseconds(1)) { $0.retry = RetryPolicy(maxAttempts: 4, initial: .seconds(10), max: .seconds(10), jitter: 0) }
        while !host.started.isEmpty { host.end(.succeeded) }
        host.enqueue("a", expires: host.now.wall + .seconds(15))
        host.end(.retry)
        #expect(host.runs("a", .retryable).count == 1)
        host.advance(by: .seconds(11))
        host.end(.retry)
        #expect(host.runs("a", .discarded).count == 1)
    }

    @Test("What a moment's work is, is claimed, and no more; less than half of it is asked for again")
    func moment() {
        var host = host(run: .milliseconds(2))
        #expect(host.runs("a", .running).count == 10)
        for expected in [9, 8, 7, 6, 10, 9] {
            host.advance(by: .milliseconds(2))
            host.end(.succeeded)
            #expect(host.runs("a", .running).count == expected)
        }
    }

    @Test("Where runs become long, what was claimed ahead of them goes back, and leaves the pool's workers to other jobs")
    func becomeLong() {
        var host = host(run: .milliseconds(1))
        host.apply([SimulatedHost.job("a", .none), SimulatedHost.job("b", .none)], workers: 2, generation: 2)
        host.advance(by: .milliseconds(400))
        host.end(.succeeded)
        #expect(host.runs("a", .running).count > 3, "one that is long is no rule")
        host.advance(by: .seconds(10))
        host.end(.succeeded)
        #expect(host.runs("a", .running).count == 1)
        #expect(host.runs("a", .available).count == 97)
        #expect(host.runs("a", .available).allSatisfy { $0.attempt == 0 })
        host.enqueue("b")
        #expect(host.started.map(\.job) == ["a", "b"])
    }

    @Test("Paused, switched off, removed, drained: what has not begun goes back, its attempt uncounted", arguments: ["pause", "disable", "remove", "drain", "host"])
    func givenBack(how: String) {
        var host = host(run: .milliseconds(1))
        var control = ControlRow()
        switch how {
        case "pause":
            control.paused = true
            host.perform(host.dispatcher.setControl(job: "a", control, now: host.now))
        case "disable":
            control.enabled = false
            host.perform(host.dispatcher.setControl(job: "a", control, now: host.now))
        case "remove": host.apply([], generation: 2)
        case "host":
            control.paused = true
            host.perform(host.dispatcher.setHostControl(control, now: host.now))
        default: host.perform(host.dispatcher.drain(now: host.now))
        }
        #expect(host.runs("a", .running).count == 1)
        #expect(host.runs("a", .available).count == 99)
        #expect(host.runs("a", .available).allSatisfy { $0.attempt == 0 })
        host.end(.succeeded)
        #expect(host.started.isEmpty)
        let isDrained = host.isDrained
        #expect(isDrained == (how == "drain"))
        if how == "pause" {
            host.perform(host.dispatcher.setControl(job: "a", ControlRow(), now: host.now))
            while !host.started.isEmpty { host.end(.succeeded) }
            #expect(host.runs("a", .succeeded).count == 101)
        }
    }

    @Test("The breaker opens: none of them begins; its probe is one")
    func breaker() {
        var host = host(run: .milliseconds(1)) {
            $0.breaker = BreakerPolicy(failures: 3, openFor: .seconds(60), successes: 1)
            $0.retry.maxAttempts = 1
        }
        for _ in 0..<3 { host.end(.failed) }
        #expect(host.started.isEmpty)
        #expect(host.runs("a", .running).isEmpty)
        #expect(host.runs("a", .available).count == 97)
        host.advance(by: .seconds(60))
        #expect(host.started.count == 1)
        #expect(host.runs("a", .running).count == 1)
        host.end(.succeeded)
        #expect(host.started.count == 1)
        #expect(host.runs("a", .running).count > 1)
    }

    @Test("An operator cancels one that waits here: it ends at once, the others go on")
    func cancelled() {
        var host = host(run: .milliseconds(1))
        let run = host.rows.filter { $0.value.state == .running }.keys.sorted()[3]
        host.perform(host.dispatcher.cancel(run, now: host.now))
        #expect(host.rows[run]?.outcome == .cancelled)
        while !host.started.isEmpty {
            #expect(host.started[0].run != run)
            host.end(.succeeded)
        }
        #expect(host.runs("a", .succeeded).count == 100)
    }

    @Test("A reload moves the job to a pool of its own: they begin there")
    func anotherPool() {
        var host = host(run: .milliseconds(1))
        let old = host.started[0].pool
        host.apply([SimulatedHost.job("a", .none) { $0.isolate = true }], generation: 2)
        host.end(.succeeded)
        #expect(host.started.count == 1)
        #expect(host.started[0].pool != old)
        while !host.started.isEmpty { host.end(.succeeded) }
        #expect(host.dispatcher.pools.values.allSatisfy { $0.busy == 0 && $0.promised == 0 && $0.asked == 0 })
    }

    @Test("A fire that finds the job at work is what its overlap says, however many runs wait", arguments: [OverlapPolicy.skip, .queue])
    func besideFires(overlap: OverlapPolicy) {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", .every(.seconds(1), phase: .zero)) { $0.overlap = overlap }])
        host.enqueue("a")
        host.advance(by: .milliseconds(1))
        host.end(.succeeded)
        for _ in 0..<50 { host.enqueue("a") }
        host.advance(to: "2026-01-01T00:00:01.100Z")
        let fire = Instant(rfc3339: "2026-01-01T00:00:01Z")!
        switch overlap {
        case .skip: #expect(host.rows.values.contains { $0.fireTime == fire && $0.state == .skipped } || host.ranges["a"]?.first?.reason == .overlap)
        default: #expect(host.rows.values.contains { $0.fireTime == fire && $0.state == .available })
        }
    }
}
