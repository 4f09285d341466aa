import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// What happens between a question to the store and its answer.
@Suite("Things in flight") struct RaceTests: DispatchStory {
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
        host.send(.ended([end]))
        #expect(host.dispatcher.jobs[0].badSettings == nil)
        host.enqueue("a")
        end.run = host.started[0].run
        end.libraryHash = isReloaded ? "h2" : "h1"
        host.send(.ended([end]))
        #expect(host.dispatcher.jobs[0].badSettings != nil, "its own")
    }

    @Test("A state that the store did not take gives way to what the store has, unless another attempt has left a newer one meanwhile")
    func restoredState() {
        var host = host()
        host.apply([SimulatedHost.job("a", .none)])
        let job = host.dispatcher.jobs[0]
        job.state = StateBlob(version: 1, bytes: [1])
        let first = job.stateRevision
        job.state = StateBlob(version: 1, bytes: [2])
        job.stateFence = 7
        host.perform(host.dispatcher.restoreState(of: "a", nil, insteadOf: first, now: host.now))
        #expect(job.state?.bytes == [2])
        host.perform(host.dispatcher.restoreState(of: "a", nil, insteadOf: job.stateRevision, now: host.now))
        #expect(job.state == nil)
        #expect(job.stateFence == 0, "what another host leaves is taken up")
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
        host.send(.ended([end]))
        #expect(host.runs("b").count == 1)
        #expect(host.runs("c").count == 1)
        let told = host.notes.filter { $0.kind == .badEnqueue }.map(\.text)
        #expect(told.count == 2)
        #expect(told.first?.hasPrefix("it enqueued a run of b, which is refused: its payload ") == true, "\(told)")
        #expect(told.last == "it enqueued a run of c, which this host does not serve: it waits until a job of that name does")
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
        host.advance(to: at("00:00:09.100"))
        // One at 8.3 s, then one every 250 ms.
        #expect(host.claims.count == 4)
        var row = JobStateRow()
        row.cursor = at("00:00:20")
        row.scheduleText = every(10).text
        host.send(.refreshed(job: "a", row))
        host.advance(to: at("00:00:30"))
        #expect(host.fires("a") == ["00:00:30"])
    }

    @Test("What was due while paused stays skipped, though the store was away and the job is resumed")
    func pausedAndAway() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(1))])
        host.advance(to: at("00:00:00.700"))
        host.perform(host.dispatcher.setControl(job: "a", .init(paused: true), now: host.now))
        host.advance(to: at("00:00:05.500"))
        host.storeAnswers = false
        host.perform(host.dispatcher.setControl(job: "a", .init(), now: host.now))
        host.storeAnswers = true
        host.advance(to: at("00:00:08.500"))
        #expect((host.ranges["a"] ?? []).filter { $0.reason == .paused }.reduce(0) { $0 + $1.count } == 4)
        #expect(!host.rows.values.contains { $0.trigger == .catchUp })
    }

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
