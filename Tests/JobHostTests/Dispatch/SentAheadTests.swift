import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// A fire is due at 00:00:10 and goes to its worker 200 ms ahead.
@Suite("Runs that are sent ahead of their instant") struct SentAheadTests: DispatchStory {
    private func host(_ jobs: [JobConfig]? = nil) -> SimulatedHost {
        var settings = Dispatcher.Settings()
        settings.sendLead = .milliseconds(200)
        var host = SimulatedHost(at: "2026-01-01T00:00:00.500Z", settings: settings)
        host.apply(jobs ?? [SimulatedHost.job("a", every(10))])
        return host
    }
    private func sent(_ jobs: [JobConfig]? = nil) -> SimulatedHost {
        var host = host(jobs)
        host.advance(to: at("00:00:09.900"))
        return host
    }
    private func isBalanced(_ host: borrowing SimulatedHost) -> Bool {
        host.dispatcher.pools.values.allSatisfy { $0.busy == 0 && $0.promised == 0 && $0.asked == 0 }
    }

    @Test("It goes 200 ms ahead, begins at its instant, and is a run like any other")
    func begins() {
        var host = host()
        host.advance(to: at("00:00:09.799"))
        #expect(host.ahead.isEmpty)
        host.advance(to: at("00:00:09.800"))
        #expect(host.ahead.map(\.notBefore) == [at("00:00:10")] && host.started.isEmpty)
        let promised = host.dispatcher.pools["p"]?.promised
        #expect(promised == 1, "it takes no worker yet")
        host.advance(to: at("00:00:10.004"))
        let run = host.started[0].run
        #expect(host.startedAt[run] == at("00:00:10"))
        host.send(.started(run: run, at: host.now.wall, pid: 1, libraryHash: "h1"))
        let busy = host.dispatcher.pools["p"]?.busy
        #expect(busy == 1)
        host.end(.succeeded)
        #expect(host.runs("a").map(\.state) == [.succeeded])
        host.advance(to: at("00:00:20"))
        #expect(host.fires("a") == ["00:00:10", "00:00:20"])
    }

    @Test("From its instant on it is under way, as far as anybody knows, though its beginning is told a moment later")
    func underWay() throws {
        let host = sent()
        let run = try #require(host.dispatcher.jobs[0].active.values.first)
        #expect(!run.isUnderWay(at: at("00:00:09.999")) && run.isUnderWay(at: at("00:00:10")))
    }

    @Test("Its end alone says that it has begun")
    func endsUnheard() {
        var host = sent()
        host.advance(to: at("00:00:10.004"))
        host.end(.succeeded)
        #expect(host.runs("a").map(\.state) == [.succeeded])
        let balanced = isBalanced(host)
        #expect(balanced)
    }

    enum Hand: CaseIterable { case pause, pauseHost, disable, forceOpen }
    private func turn(_ hand: Hand, on: Bool, _ host: inout SimulatedHost) {
        switch hand {
        case .pause: host.perform(host.dispatcher.setControl(job: "a", ControlRow(paused: on), now: host.now))
        case .pauseHost: host.perform(host.dispatcher.setHostControl(ControlRow(paused: on), now: host.now))
        case .disable: host.perform(host.dispatcher.setControl(job: "a", ControlRow(enabled: !on), now: host.now))
        case .forceOpen:
            var breaker = host.dispatcher.jobs[0].breaker!
            if on { breaker.forceOpen(until: nil, reason: "", now: host.now.wall) } else { breaker.reset(now: host.now.wall) }
            host.perform(host.dispatcher.setBreaker(job: "a", BreakerRow(breaker.encoded, generation: on ? 2 : 3), now: host.now))
        }
    }
    private static let guarded = SimulatedHost.job("a", .every(.seconds(10), phase: .zero)) {
        $0.breaker = BreakerPolicy(failures: 2, window: nil, openFor: .seconds(60), successes: 1)
    }

    @Test("What an operator's hand would have kept from starting is taken back, and skipped at its instant", arguments: Hand.allCases)
    func steered(hand: Hand) {
        var host = sent([Self.guarded])
        let run = host.ahead[0].run
        turn(hand, on: true, &host)
        #expect(host.takenBack == [run])
        host.send(.sweep)
        #expect(host.takenBack == [run], "once")
        host.comeBack()
        #expect(host.runs("a").map(\.state) == [.running], "it is held again")
        host.advance(to: at("00:00:10.001"))
        #expect(host.started.isEmpty && host.runs("a").map(\.state) == [.skipped])
        let balanced = isBalanced(host)
        #expect(balanced)
    }

    @Test("What may start again by then starts at its instant", arguments: Hand.allCases)
    func steeredBack(hand: Hand) {
        var host = sent([Self.guarded])
        turn(hand, on: true, &host)
        host.comeBack()
        turn(hand, on: false, &host)
        #expect(host.ahead.isEmpty, "it is not sent ahead twice")
        host.advance(to: at("00:00:09.999"))
        #expect(host.started.isEmpty)
        host.advance(to: at("00:00:10"))
        #expect(host.fires("a") == ["00:00:10"])
        host.end(.succeeded)
        #expect(host.runs("a").map(\.state) == [.succeeded])
        let balanced = isBalanced(host)
        #expect(balanced)
    }

    @Test("What had begun before it could be taken back goes on")
    func begunFirst() {
        var host = sent()
        turn(.pause, on: true, &host)
        host.advance(to: at("00:00:10"))
        #expect(host.started.count == 1, "its worker did not hear of it in time")
        host.send(.started(run: host.started[0].run, at: host.now.wall, pid: 1, libraryHash: "h1"))
        host.end(.succeeded)
        #expect(host.runs("a").map(\.state) == [.succeeded])
        let balanced = isBalanced(host)
        #expect(balanced)
    }

    @Test("Another plan takes it back: it begins by the new one")
    func reloaded() {
        var host = sent()
        host.apply([SimulatedHost.job("a", every(10))], generation: 2)
        #expect(host.takenBack.count == 1)
        host.comeBack()
        host.advance(to: at("00:00:10"))
        #expect(host.fires("a") == ["00:00:10"])
        let library = host.dispatcher.jobs[0].active.values.first?.plan?.libraryHash
        #expect(library == "h2")
    }

    @Test("A fire that the new rule does not have, or of a job that is gone, is refused when it is back", arguments: [true, false])
    func edited(isRemoved: Bool) {
        var host = sent()
        host.apply(isRemoved ? [] : [SimulatedHost.job("a", every(7))], generation: 2)
        #expect(host.takenBack.count == 1 && host.runs("a").map(\.state) == [.running])
        host.comeBack()
        #expect(host.runs("a").map(\.state).first == .skipped)
        host.advance(to: at("00:00:10.500"))
        #expect(host.started.isEmpty)
    }

    @Test("A drain, or a lapsed lease, takes it back: it waits in the store, its attempt uncounted", arguments: [true, false])
    func drained(isDrain: Bool) {
        var host = sent()
        host.perform(isDrain ? host.dispatcher.drain(now: host.now) : host.dispatcher.suspend(now: host.now))
        #expect(host.takenBack.count == 1)
        let isDrained = host.isDrained
        #expect(!isDrained)
        host.comeBack()
        #expect(host.runs("a").map(\.state) == [.available] && host.runs("a").map(\.attempt) == [0])
        let isOver = host.isDrained
        #expect(isOver == isDrain)
        host.advance(to: at("00:00:11"))
        #expect(host.started.isEmpty)
        let balanced = isBalanced(host)
        #expect(balanced)
    }

    @Test("A clock that is set back takes it back: it begins when its instant comes again, and once")
    func setBack() {
        var host = sent()
        host.setClock("2026-01-01T00:00:05.000Z")
        #expect(host.takenBack.count == 1)
        host.comeBack()
        host.advance(to: at("00:00:09.999"))
        #expect(host.started.isEmpty && host.ahead.isEmpty)
        host.advance(to: at("00:00:10"))
        #expect(host.fires("a") == ["00:00:10"])
        host.end(.succeeded)
        host.advance(to: at("00:00:15"))
        #expect(host.fires("a") == ["00:00:10"])
    }

    @Test("A clock that is set far ahead takes it back: nothing fires while it is not trusted")
    func jumps() {
        var host = sent()
        host.setClock("2026-01-01T02:00:00.000Z")
        #expect(host.takenBack.count == 1)
        host.comeBack()
        host.advance(by: .seconds(59))
        #expect(host.started.isEmpty)
        host.advance(by: .seconds(2))
        #expect(host.fires("a").first == "00:00:10")
    }

    @Test("It has its place already: a waiting run of the job begins after it")
    func place() {
        var host = sent()
        host.enqueue("a")
        #expect(host.started.isEmpty)
        host.advance(to: at("00:00:10"))
        #expect(host.started.map(\.trigger) == [.schedule])
        host.end(.succeeded)
        #expect(host.started.map(\.trigger) == [.enqueued])
    }

    @Test("Without a place it stays; with one that is free again before the instant it goes then")
    func placeFreed() {
        var host = host()
        host.advance(to: at("00:00:09.700"))
        host.enqueue("a")
        #expect(host.started.count == 1)
        host.advance(to: at("00:00:09.900"))
        #expect(host.ahead.isEmpty)
        host.end(.succeeded)
        #expect(host.ahead.count == 1)
        host.advance(to: at("00:00:10"))
        #expect(host.started.map(\.trigger) == [.schedule])
    }

    @Test("A breaker's probe begins at its instant, by the word of then")
    func probe() {
        var host = host([SimulatedHost.job("a", every(10)) {
            $0.breaker = BreakerPolicy(failures: 1, window: nil, openFor: .seconds(5), successes: 1)
            $0.retry = RetryPolicy(maxAttempts: 1, initial: .seconds(1), max: .seconds(1))
        }])
        host.advance(to: at("00:00:10"))
        host.end(.failed)
        host.advance(to: at("00:00:18.500"))
        host.send(.sweep)
        host.advance(to: at("00:00:19.900"))
        #expect(host.ahead.isEmpty && host.runs("a", .running).count == 1)
        host.advance(to: at("00:00:20"))
        #expect(host.started.count == 1)
    }

    @Test("A breaker that opens meanwhile takes it back")
    func opens() {
        var host = host([SimulatedHost.job("a", every(10)) {
            $0.concurrency = 2
            $0.breaker = BreakerPolicy(failures: 1, window: nil, openFor: .seconds(60), successes: 1)
        }])
        host.enqueue("a", maxAttempts: 1)
        host.advance(to: at("00:00:09.900"))
        #expect(host.started.count == 1 && host.ahead.count == 1)
        host.end(.failed)
        #expect(host.takenBack.count == 1)
        host.comeBack()
        host.advance(to: at("00:00:10.001"))
        #expect(host.started.isEmpty && host.runs("a", .skipped).count == 1)
    }

    @Test("A state that another run leaves meanwhile takes it back: it begins with that")
    func state() {
        var host = host([SimulatedHost.job("a", every(10)) { $0.concurrency = 2 }])
        host.enqueue("a")
        host.advance(to: at("00:00:09.900"))
        #expect(host.ahead.count == 1)
        let other = host.started.removeFirst()
        var end = AttemptEnd(run: other.run, job: "a", outcome: .succeeded, startedAt: host.startedAt[other.run], finishedAt: host.now.wall)
        end.state = StateBlob(version: 1, bytes: [7])
        host.send(.ended([end]))
        #expect(host.takenBack.count == 1)
        host.comeBack()
        host.advance(to: at("00:00:10"))
        #expect(host.started.map { $0.state?.bytes } == [[7]])
    }

    @Test("A worker that dies before the instant, or has no time, gives it back: it begins elsewhere, once, as its first attempt")
    func workerDies() {
        var host = sent()
        host.comeBack(host.ahead.map(\.run))
        host.advance(to: at("00:00:10"))
        #expect(host.fires("a") == ["00:00:10"])
        host.end(.succeeded)
        #expect(host.runs("a").map(\.state) == [.succeeded] && host.runs("a").map(\.attempt) == [1])
        let balanced = isBalanced(host)
        #expect(balanced)
    }

    @Test("An operator's cancel reaches its worker")
    func cancelled() {
        var host = sent()
        let run = host.ahead[0].run
        host.perform(host.dispatcher.cancel(run, now: host.now))
        #expect(host.cancelled == [run])
        // As the room tells of one that had not begun.
        host.ahead = []
        host.send(.ended([AttemptEnd(run: run, job: "a", outcome: .cancelled, startedAt: nil, finishedAt: host.now.wall)]))
        #expect(host.runs("a").map(\.state) == [.cancelled])
        let balanced = isBalanced(host)
        #expect(balanced)
        host.advance(to: at("00:00:20"))
        #expect(host.fires("a") == ["00:00:20"])
    }
}
