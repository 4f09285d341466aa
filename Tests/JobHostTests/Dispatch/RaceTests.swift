import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// What happens between a question to the store and its answer, and around edits, clocks and pools.
@Suite("Things in flight") struct RaceTests {
    private func every(_ seconds: Int) -> ScheduleSpec { .every(.seconds(seconds), phase: .zero) }
    private func at(_ text: String) -> Instant { Instant(rfc3339: "2026-01-01T\(text)Z")! }
    private func host(_ time: String = "00:00:00.500") -> SimulatedHost { SimulatedHost(at: "2026-01-01T\(time)Z") }

    // MARK: Concurrency

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

    @Test("Fires of the time when the breaker was open are skipped for that, however late the host looks at its end")
    func breakerEndsUnseen() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(1)) {
            $0.breaker = BreakerPolicy(failures: 1, openFor: .seconds(5), successes: 1)
            $0.retry.maxAttempts = 1
        }])
        host.advance(to: at("00:00:01"))
        host.end(.failed)
        host.advance(to: at("00:00:05.500"))
        host.now = Now(wall: at("00:00:06.300"), monotonic: host.now.monotonic + .milliseconds(800))
        host.send(.tick)
        #expect(host.ranges["a"]?.allSatisfy { $0.reason == .breaker } == true, "\(host.ranges)")
        #expect(host.started.map(\.fireTime) == [at("00:00:06")], "the probe")
        #expect(host.started.map(\.trigger) == [.schedule])
    }

    @Test("What an attempt with other settings, or of another library, says of its settings disables nothing", arguments: [true, false])
    func staleBadSettings(isReloaded: Bool) {
        var host = host()
        host.apply([SimulatedHost.job("a", .none)])
        host.enqueue("a")
        if isReloaded { host.apply([SimulatedHost.job("a", .none) { $0.timeout = .seconds(9) }], generation: 2) }
        var end = AttemptEnd(run: host.started[0].run, job: "a", outcome: .failed, startedAt: host.now.wall, finishedAt: host.now.wall)
        end.badSettings = true
        end.libraryHash = isReloaded ? "h1" : "canary"
        host.started.removeAll()
        host.send(.ended(end))
        #expect(host.dispatcher.jobs[0].badSettings == nil)
        host.enqueue("a")
        end.run = host.started[0].run
        end.libraryHash = isReloaded ? "h2" : "h1"
        host.send(.ended(end))
        #expect(host.dispatcher.jobs[0].badSettings != nil, "its own")
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

    @Test("A run enqueues for others: what their schema refuses is told and not stored; what no job here is for is told")
    func enqueues() {
        var host = host()
        host.apply([SimulatedHost.job("a", .none), SimulatedHost.job("b", .none)])
        host.enqueue("a")
        var end = AttemptEnd(run: host.started[0].run, job: "a", outcome: .succeeded, startedAt: host.now.wall, finishedAt: host.now.wall)
        end.enqueues = [
            EnqueueRequest(job: "b", payload: Array("{}".utf8), key: "", at: nil),
            EnqueueRequest(job: "b", payload: Array("{".utf8), key: "", at: nil),
            EnqueueRequest(job: "c", payload: [], key: "", at: nil),
        ]
        host.send(.ended(end))
        #expect(host.runs("b").count == 1)
        #expect(host.runs("c").count == 1)
        let told = host.notes.filter { $0.kind == .badEnqueue }.map(\.text)
        #expect(told.count == 2)
        #expect(told.first?.hasPrefix("it enqueued a run of b, which is refused: its payload ") == true, "\(told)")
        #expect(told.last == "it enqueued a run of c, which this host does not serve: it waits until a job of that name does")
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

    @Test("A fixed delay is not made up for", arguments: [
        ScheduleSpec.afterFinish(.seconds(5)), .adaptive(min: .seconds(5), max: .seconds(60)),
    ])
    func delayNotBackfilled(spec: ScheduleSpec) {
        var host = host()
        var row = JobStateRow()
        row.cursor = at("00:00:00") - .seconds(600)
        row.scheduleText = spec.text
        host.apply([SimulatedHost.job("a", spec) { $0.catchUp.policy = .all }], rows: ["a": row])
        #expect(host.started.map(\.trigger) == [.catchUp])
        #expect(host.ledgerCount("a") == 1)
        host.advance(to: at("00:00:10"))
        host.end(.succeeded)
        host.advance(to: at("00:00:15"))
        #expect(host.started.map(\.fireTime) == [at("00:00:15")])
        #expect(host.ledgerCount("a") == 2)
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

    @Test("Missed and skipped fires are told once, when they are recorded, however long the store was away")
    func toldOnce() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10)) { $0.catchUp.window = .seconds(30) }])
        host.storeAnswers = false
        host.advance(to: at("00:05:00.500"))
        #expect(host.moves.count + host.claims.count > 100)
        func tellsOfFires(_ note: DispatchNote) -> Bool {
            switch note.kind {
            case .missed, .skipped: true
            default: false
            }
        }
        #expect(host.notes.filter(tellsOfFires).map(\.text) == [])
        host.storeAnswers = true
        host.advance(to: at("00:05:02"))
        let told = host.notes.filter(tellsOfFires)
        #expect(told.count == (host.ranges["a"] ?? []).count && !told.isEmpty, "\(told.map(\.text))")
    }

    // MARK: Pools

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

    // MARK: The store's answers

    @Test("A first appearance that the store could not record is recorded when it is back")
    func introducedAgain() {
        var host = host()
        host.storeAnswers = false
        host.apply([SimulatedHost.job("a", every(10))])
        #expect(host.cursors["a"] == nil)
        host.storeAnswers = true
        host.advance(to: at("00:00:10"))
        #expect(host.fires("a") == ["00:00:10"])
    }

    @Test("A cursor that somebody else moved is not asked for again and again")
    func lostRace() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10))])
        host.cursors["a"] = at("00:00:20")
        host.advance(to: at("00:00:08.900"))
        // One at 8 s, then one every 250 ms.
        #expect(host.claims.count == 4)
        var row = JobStateRow()
        row.cursor = at("00:00:20")
        row.scheduleText = every(10).text
        host.send(.refreshed(job: "a", row))
        host.advance(to: at("00:00:30"))
        #expect(host.fires("a") == ["00:00:30"])
    }

    @Test("A refreshed fixed delay still waits for the run that is under way")
    func refreshedUnderWay() {
        var host = host()
        host.apply([SimulatedHost.job("a", .afterFinish(.seconds(5)))])
        host.advance(to: at("00:00:06"))
        #expect(host.started.count == 1)
        var row = JobStateRow()
        row.cursor = host.cursors["a"]
        row.scheduleText = ScheduleSpec.afterFinish(.seconds(5)).text
        host.send(.refreshed(job: "a", row))
        host.advance(to: at("00:01:00"))
        #expect(host.ledgerCount("a") == 1)
    }

    @Test("What was due while paused stays skipped, though the store was away and the job is resumed")
    func pausedAndAway() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(1))])
        host.perform(host.dispatcher.setControl(job: "a", .init(paused: true), now: host.now))
        host.advance(to: at("00:00:05.500"))
        host.storeAnswers = false
        host.perform(host.dispatcher.setControl(job: "a", .init(), now: host.now))
        host.storeAnswers = true
        host.advance(to: at("00:00:08.500"))
        #expect((host.ranges["a"] ?? []).filter { $0.reason == .paused }.reduce(0) { $0 + $1.count } == 4)
        #expect(!host.rows.values.contains { $0.trigger == .catchUp })
    }

    // MARK: Drain

    @Test("A claim that comes back during a drain is given back")
    func drained() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10))])
        host.answersLate = true
        host.advance(to: at("00:00:09"))
        host.perform(host.dispatcher.drain(now: host.now))
        #expect(host.isDrained == false)
        host.answer()
        host.advance(to: at("00:00:12"))
        #expect(host.started.isEmpty)
        #expect(host.runs("a").map(\.state) == [.available])
        #expect(host.isDrained == true)
    }

    // MARK: Edits

    @Test("An edit that keeps the fire keeps its claim")
    func editKeepsClaim() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10))])
        host.advance(to: at("00:00:09"))
        host.apply([SimulatedHost.job("a", every(5)) { $0.catchUp.policy = .all }], generation: 2)
        host.advance(to: at("00:00:10"))
        #expect(host.fires("a") == ["00:00:10"])
    }

    @Test("A claim of the old rule that comes back after the edit is refused, unless the new rule fires then too", arguments: [
        (7, [String]()), (5, ["00:00:10"]),
    ])
    func editInFlight(seconds: Int, fires: [String]) {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10))])
        host.answersLate = true
        host.advance(to: at("00:00:09"))
        host.apply([SimulatedHost.job("a", every(seconds))], generation: 2)
        host.answer()
        host.advance(to: at("00:00:10"))
        #expect(host.fires("a") == fires)
        #expect(host.ledgerCount("a") == 1)
    }

    @Test("An edit that the store could not record is recorded when it is back, before anything is due")
    func editAndAway() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(3600))])
        host.storeAnswers = false
        host.apply([SimulatedHost.job("a", every(1800))], generation: 2)
        host.storeAnswers = true
        host.advance(by: .seconds(1))
        #expect(host.texts["a"] == every(1800).text)
    }

    @Test("A job that was removed and comes back does not catch up on the time in between")
    func comesBack() {
        var host = host()
        let job = SimulatedHost.job("a", every(10)) { $0.catchUp.policy = .all }
        host.apply([job])
        host.advance(to: at("00:00:05"))
        host.apply([], generation: 2)
        host.advance(to: at("00:01:05"))
        host.apply([job], generation: 3)
        host.advance(to: at("00:01:15"))
        #expect(host.fires("a") == ["00:01:10"])
        #expect(host.ledgerCount("a") == 1)
    }

    @Test("With schedule = false an edit claims nothing")
    func editWithoutSchedule() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10))])
        host.dispatcher.settings.schedules = false
        host.advance(to: at("00:00:15"))
        host.apply([SimulatedHost.job("a", every(7))], generation: 2)
        #expect(host.rows.isEmpty)
        #expect(host.ranges["a"] == nil || host.ranges["a"] == [])
    }

    // MARK: Clock

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

    // MARK: Waiting

    @Test("consume = false: nothing that waits is claimed here")
    func consumesNothing() {
        var host = host()
        host.dispatcher.settings.consumes = false
        host.apply([SimulatedHost.job("a", .none)])
        host.enqueue("a")
        host.advance(by: .seconds(10))
        #expect(host.asked.isEmpty)
    }

    @Test("The store is asked one question at a time; what comes meanwhile goes out as one")
    func oneQuestion() {
        var host = host()
        host.apply((0..<3).map { SimulatedHost.job("j\($0)", .none) })
        host.asked = []
        host.answersLate = true
        for number in 0..<3 { host.enqueue("j\(number)") }
        #expect(host.asked == [["j0": 1]])
        host.answer()
        #expect(host.asked == [["j0": 1], ["j1": 1, "j2": 1]])
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

    @Test("A disabled follower gets no run")
    func disabledFollower() {
        var host = host()
        host.apply([SimulatedHost.job("first", .none), SimulatedHost.job("second", .after(job: "first")) { $0.enabled = false }])
        host.enqueue("first")
        host.end(.succeeded)
        #expect(host.runs("second").isEmpty)
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

    @Test("catch_up = all: the newest are run one after the other, the rest is one range")
    func catchUpAll() {
        var host = host("00:00:05")
        var row = JobStateRow()
        row.cursor = at("00:00:00") - .seconds(100)
        row.scheduleText = every(10).text
        host.apply([SimulatedHost.job("a", every(10)) { $0.catchUp = CatchUp(policy: .all, window: .seconds(3600), limit: 3) }], rows: ["a": row])
        #expect(host.started.map(\.trigger) == [.catchUp])
        while !host.started.isEmpty { host.end(.succeeded) }
        #expect(host.runs("a", .succeeded).count == 3)
        #expect(host.ranges["a"]?.map(\.count) == [7])
    }

    @Test("Ten thousand jobs at one instant: each has one place in the timeline, and all run")
    func tenThousand() {
        var host = host()
        host.apply((0..<10_000).map { SimulatedHost.job("j\($0)", every(10)) }, workers: 32)
        host.advance(to: at("00:00:10"))
        #expect(host.started.count == 32)
        // One batch ahead, one at the instant.
        #expect(host.claims.count == 10_000)
        #expect(host.rows.values.count { $0.state == .available } == 10_000 - 32)
    }
}
