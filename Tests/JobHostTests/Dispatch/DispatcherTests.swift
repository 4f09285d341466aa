import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

@Suite("What runs when") struct DispatcherTests: DispatchStory {
    // MARK: Fires

    @Test("A fire is claimed ahead, held, and started at its instant")
    func claimedAhead() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10))])
        host.advance(to: "2026-01-01T00:00:07.999Z")
        #expect(host.rows.isEmpty)
        host.advance(to: "2026-01-01T00:00:09Z")
        #expect(host.runs("a", .running).count == 1)
        #expect(host.started.isEmpty)
        host.advance(to: "2026-01-01T00:00:10Z")
        #expect(host.started.map(\.fireTime) == [Instant(rfc3339: "2026-01-01T00:00:10Z")!])
    }

    @Test("What fires each second is claimed when the runs of the fire before have had a third of their second, not beside them")
    func notClaimedBesideTheFireBefore() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply((0..<20).map { SimulatedHost.job("j\($0)", every(1)) }, workers: 20)
        host.advance(to: "2026-01-01T00:00:05Z")
        let claimed = host.claims.count
        for _ in 0..<20 { host.end(.succeeded) }
        #expect(host.started.isEmpty)
        host.advance(to: "2026-01-01T00:00:05.299Z")
        #expect(host.claims.count == claimed)
        host.advance(to: "2026-01-01T00:00:05.300Z")
        #expect(host.claims.count == claimed + 20)
        host.advance(to: "2026-01-01T00:00:06Z")
        #expect(host.started.count == 20 && host.started.allSatisfy { $0.fireTime == Instant(rfc3339: "2026-01-01T00:00:06Z") })
    }

    @Test("Every due time of an hour ends in exactly one ledger entry")
    func hourIsComplete() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00Z")
        host.apply([SimulatedHost.job("a", every(7))])
        while host.now.wall < Instant(rfc3339: "2026-01-01T01:00:00Z")! {
            host.advance(by: .seconds(1))
            host.end(.succeeded)
        }
        // 00:00:00 itself lies on the cursor of the first appearance; 3600 / 7 = 514 fires since
        // (the epoch's grid), and at most one more is claimed ahead.
        let due = host.ledgerCount("a")
        #expect(due == 514 || due == 515)
        #expect(host.runs("a", .succeeded).count >= 513)
    }

    @Test("A job's first appearance never backfills")
    func firstAppearance() {
        var host = SimulatedHost(at: "2026-01-01T12:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(3600))])
        host.advance(by: .seconds(5))
        #expect(host.rows.isEmpty)
        #expect(host.cursors["a"] != nil)
    }

    @Test("A run whose killed worker does not end takes no place of its pool: the plugin's other jobs go on, its own waits for the end")
    func stuck() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("hangs", every(10)), SimulatedHost.job("sibling", every(10))], workers: 1)
        host.advance(to: "2026-01-01T00:00:12Z")
        #expect(host.started.count == 1)
        let hung = host.started[0]
        let other = hung.job == "hangs" ? "sibling" : "hangs"
        host.send(.stuck(run: hung.run))
        host.send(.stuck(run: hung.run))
        #expect(host.started.last?.job == other && host.started.count == 2)
        host.advance(to: "2026-01-01T00:00:25Z")
        // One at a time, as ever; of its own job none.
        #expect(host.started.count == 2 && host.runs(hung.job, .running).count == 1)
        // It ends after all; the place that it had given up is not given up again.
        host.end(.crashed)
        host.advance(to: "2026-01-01T00:00:35Z")
        #expect(host.started.count == 1)
        host.end(.succeeded)
        host.advance(to: "2026-01-01T00:00:45Z")
        #expect(host.started.count == 1)
    }

    @Test("An overdue fire is seen to while the store owes an answer or a wait has an end, not because a run is under way")
    func seenTo() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10)) { $0.overlap = .allow }])
        host.advance(to: "2026-01-01T00:00:12Z")
        #expect(host.started.count == 1)
        let isSeenTo = host.dispatcher.isSeenTo(0, host.now)
        #expect(!isSeenTo)
        host.answersLate = true
        host.advance(to: "2026-01-01T00:00:21Z")
        let whileAsked = host.dispatcher.isSeenTo(0, host.now)
        #expect(whileAsked)
        host.answer()
        host.storeAnswers = false
        host.advance(to: "2026-01-01T00:00:30Z")
        let whileWaiting = host.dispatcher.isSeenTo(0, host.now)
        #expect(whileWaiting)
    }

    // MARK: Overlap

    @Test("overlap = skip: fires that come while the run lasts are skipped, one range")
    func overlapSkip() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(1))])
        host.advance(to: "2026-01-01T00:00:01Z")
        host.advance(to: "2026-01-01T00:00:05.500Z")
        host.end(.succeeded)
        host.advance(to: "2026-01-01T00:00:06Z")
        #expect(host.fires("a") == ["00:00:01", "00:00:06"])
        let ranges = host.ranges["a"] ?? []
        #expect(ranges.allSatisfy { $0.reason == .overlap })
        #expect(ranges.reduce(0) { $0 + $1.count } == 4)
    }

    @Test("overlap = queue: one fire waits, further ones are skipped")
    func overlapQueue() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(1)) { $0.overlap = .queue }])
        host.advance(to: "2026-01-01T00:00:04.500Z")
        #expect(host.runs("a", .available).map(\.fireTime) == [Instant(rfc3339: "2026-01-01T00:00:02Z")!])
        host.end(.succeeded)
        #expect(host.fires("a") == ["00:00:01", "00:00:02"])
        #expect((host.ranges["a"] ?? []).reduce(0) { $0 + $1.count } == 2)
    }

    @Test("overlap = queue: a fire that an earlier life queued goes first, and one more waits, as without the restart")
    func overlapQueueOverARestart() {
        var settings = Dispatcher.Settings()
        settings.consumes = false
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z", settings: settings)
        let fire = WaitingFire(run: RunID(77), job: "a", trigger: .schedule)
        host.apply([SimulatedHost.job("a", every(1)) { $0.overlap = .queue }], waitingFires: [fire])
        host.advance(to: "2026-01-01T00:00:04.500Z")
        #expect(host.started.isEmpty)
        #expect(host.runs("a", .available).map(\.fireTime) == [Instant(rfc3339: "2026-01-01T00:00:01Z")!])
        #expect((host.ranges["a"] ?? []).reduce(0) { $0 + $1.count } == 3)
    }

    @Test("overlap = allow: concurrency does not hold a fire back")
    func overlapAllow() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(1)) { $0.overlap = .allow }], workers: 8)
        host.advance(to: "2026-01-01T00:00:04Z")
        #expect(host.started.count == 4)
    }

    @Test("concurrency = 2: two run, the third is skipped")
    func concurrency() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(1)) { $0.concurrency = 2 }])
        host.advance(to: "2026-01-01T00:00:03.500Z")
        #expect(host.started.count == 2)
        #expect((host.ranges["a"] ?? []).map(\.count) == [1])
    }

    // MARK: Refusals

    @Test("Paused: scheduled fires are recorded skipped, enqueued runs wait")
    func paused() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(1))])
        host.advance(to: "2026-01-01T00:00:00.700Z")
        host.perform(host.dispatcher.setControl(job: "a", .init(paused: true), now: host.now))
        host.enqueue("a")
        host.advance(to: "2026-01-01T00:00:10.500Z")
        #expect(host.started.isEmpty)
        host.perform(host.dispatcher.setControl(job: "a", .init(), now: host.now))
        #expect(host.started.map(\.trigger) == [.enqueued])
        // The first had been claimed ahead and is refused at its instant; the others form a range.
        #expect(host.runs("a", .skipped).count == 1)
        #expect((host.ranges["a"] ?? []).allSatisfy { $0.reason == .paused })
        #expect((host.ranges["a"] ?? []).reduce(0) { $0 + $1.count } == 9)
    }

    @Test("A pause between claim and instant refuses the held fire")
    func pausedAtTheInstant() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10))])
        host.advance(to: "2026-01-01T00:00:09Z")
        host.perform(host.dispatcher.setControl(job: "a", .init(paused: true), now: host.now))
        host.advance(to: "2026-01-01T00:00:10Z")
        #expect(host.started.isEmpty)
        #expect(host.runs("a", .skipped).count == 1)
    }

    @Test("The breaker opens after its failures; fires are skipped until the probe; successes close it")
    func breakerCycle() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(1)) {
            $0.breaker = BreakerPolicy(failures: 2, openFor: .seconds(10), successes: 1)
            $0.retry.maxAttempts = 1
        }])
        host.advance(to: "2026-01-01T00:00:01Z")
        host.end(.failed)
        host.advance(to: "2026-01-01T00:00:02Z")
        host.end(.failed)
        #expect(host.dispatcher.jobs[0].breaker?.mode == .open(until: Instant(rfc3339: "2026-01-01T00:00:12Z")!))
        host.advance(to: "2026-01-01T00:00:11.500Z")
        #expect(host.started.isEmpty)
        host.advance(to: "2026-01-01T00:00:13.500Z")
        #expect(host.started.count == 1)
        host.end(.succeeded)
        #expect(host.dispatcher.jobs[0].breaker?.mode == .closed)
        #expect((host.ranges["a"] ?? []).contains { $0.reason == .breaker })
    }

    // MARK: Retry, snooze, returned

    @Test("retry: the run waits out its backoff and is tried again, up to max_attempts")
    func retries() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", .none) {
            $0.retry = RetryPolicy(maxAttempts: 3, initial: .seconds(1), max: .seconds(10), multiplier: 2, jitter: 0)
            $0.breaker = nil
        }])
        host.enqueue("a", maxAttempts: 3)
        host.end(.retry)
        #expect(host.runs("a").map(\.state) == [.retryable])
        host.advance(by: .milliseconds(999))
        #expect(host.started.isEmpty)
        host.advance(by: .milliseconds(1))
        host.end(.retry)
        host.advance(by: .seconds(2))
        host.end(.retry)
        #expect(host.runs("a").map(\.state) == [.discarded])
        #expect(host.runs("a").map(\.attempt) == [3])
    }

    @Test("crashed: tried again only if the entry is idempotent", arguments: [true, false])
    func crash(idempotent: Bool) {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", .none)], idempotent: idempotent)
        host.enqueue("a")
        host.end(.crashed)
        #expect(host.runs("a").map(\.state) == [idempotent ? .retryable : .discarded])
    }

    @Test("snooze: comes back at its time, at no cost of an attempt")
    func snooze() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00Z")
        host.apply([SimulatedHost.job("a", .none)])
        host.enqueue("a")
        host.end(.snoozed, snoozeUntil: Instant(rfc3339: "2026-01-01T00:05:00Z")!)
        host.advance(to: "2026-01-01T00:04:59Z")
        #expect(host.started.isEmpty)
        host.advance(to: "2026-01-01T00:05:00Z")
        #expect(host.started.map(\.attempt) == [1])
    }

    @Test("A run that was returned unattempted is started again as the same attempt")
    func returned() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00Z")
        host.apply([SimulatedHost.job("a", .none)])
        host.enqueue("a")
        let run = host.started.removeFirst().run
        host.send(.returned(run: run))
        #expect(host.started.map(\.run) == [run])
        #expect(host.started.map(\.attempt) == [1])
    }

    // MARK: After

    @Test("after: the follower runs once for every success, not for a failure")
    func after() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00Z")
        host.apply([
            SimulatedHost.job("first", .none) { $0.retry.maxAttempts = 1 }, SimulatedHost.job("second", .after(job: "first")),
        ])
        host.enqueue("first")
        host.end(.succeeded)
        #expect(host.started.map(\.job) == ["second"])
        host.end(.succeeded)
        host.enqueue("first")
        host.end(.failed)
        #expect(host.started.isEmpty)
    }

    // MARK: Store away

    @Test("While the store is away nothing starts; afterwards the due fire is decided by the rules")
    func storeAway() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10))])
        host.storeAnswers = false
        host.advance(to: "2026-01-01T00:00:10.400Z")
        #expect(host.started.isEmpty)
        host.storeAnswers = true
        host.advance(to: "2026-01-01T00:00:10.900Z")
        #expect(host.fires("a") == ["00:00:10"])
    }

    // MARK: Clock

    @Test("The clock stepping back never fires twice")
    func stepsBack() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10))])
        host.advance(to: "2026-01-01T00:00:10Z")
        host.end(.succeeded)
        host.setClock("2026-01-01T00:00:05Z")
        host.advance(to: "2026-01-01T00:00:15Z")
        #expect(host.fires("a") == ["00:00:10"])
    }

    @Test("A jump of more than ten minutes holds all firing for a minute, then goes on")
    func jumps() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10))])
        host.setClock("2026-01-01T01:00:00.500Z")
        host.advance(by: .seconds(59))
        #expect(host.started.isEmpty)
        host.advance(by: .seconds(12))
        #expect(host.started.isEmpty == false)
    }

    @Test("A jump back of a year: the cursor in the future is rewound, and the job fires again")
    func jumpsBackAYear() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10))])
        host.setClock("2025-01-01T00:00:00.500Z")
        host.advance(by: .seconds(75))
        #expect(host.started.count == 1)
        #expect(host.notes.contains { $0.kind == .rewound && $0.job == "a" })
    }

    // MARK: Reload

    @Test("An unchanged job keeps its held fire over a reload: it runs exactly once")
    func reloadKeeps() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10))])
        host.advance(to: "2026-01-01T00:00:09Z")
        host.apply([SimulatedHost.job("a", every(10))], generation: 2)
        host.advance(to: "2026-01-01T00:00:10Z")
        #expect(host.fires("a") == ["00:00:10"])
    }

    @Test("A removed job's held fire is skipped, its running run is recorded")
    func reloadRemoves() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10)), SimulatedHost.job("b", every(10))])
        host.advance(to: "2026-01-01T00:00:10Z")
        host.apply([SimulatedHost.job("a", every(10))], generation: 2)
        host.end(.succeeded)
        host.end(.succeeded)
        #expect(host.runs("b", .succeeded).count == 1)
        host.advance(to: "2026-01-01T00:00:30Z")
        #expect(host.fires("b") == ["00:00:10"])
    }

    @Test("In a store that several hosts share a job left to the others keeps its schedule, and what was claimed ahead here is theirs")
    func reloadLeavesToOthers() {
        var settings = Dispatcher.Settings()
        settings.isShared = true
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z", settings: settings)
        host.apply([SimulatedHost.job("a", every(10))])
        host.advance(to: "2026-01-01T00:00:09Z")
        let (moves, rule) = (host.moves.count, host.texts["a"])
        host.apply([SimulatedHost.job("a", every(10)) { $0.runOn = ["eu"] }], generation: 2)
        host.advance(to: "2026-01-01T00:01:00Z")
        #expect(host.started.isEmpty)
        #expect(host.moves.count == moves)
        #expect(host.texts["a"] == rule)
        #expect((host.ranges["a"] ?? []).isEmpty)
        #expect(host.rows.values.map(\.fireTime) == [Instant(rfc3339: "2026-01-01T00:00:10Z")!])
        #expect(host.rows.values.allSatisfy { [.scheduled, .available].contains($0.state) })
    }

    @Test("An edited schedule: due times up to the switch follow the old rule, later ones the new")
    func reloadEdits() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10)) { $0.overlap = .allow }])
        host.advance(to: "2026-01-01T00:00:18.500Z")
        host.apply([SimulatedHost.job("a", every(7)) { $0.overlap = .allow }], generation: 2)
        host.advance(to: "2026-01-01T00:00:26Z")
        // The old rule's 00:00:20 lies after the switch and is not fired.
        #expect(host.fires("a").first == "00:00:10")
        #expect(!host.fires("a").contains("00:00:20"))
        #expect(host.fires("a").count == 2)
    }

    // MARK: Drain

    @Test("Draining gives held claims back and starts nothing new")
    func drain() {
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z")
        host.apply([SimulatedHost.job("a", every(10))])
        host.advance(to: "2026-01-01T00:00:09Z")
        host.perform(host.dispatcher.drain(now: host.now))
        host.advance(to: "2026-01-01T00:01:00Z")
        #expect(host.started.isEmpty)
        #expect(host.runs("a").map(\.state) == [.available])
    }
}
