import JobCore
import Testing

@testable import JobHost

/// The life of one attempt, by table and by property.
@Suite struct AttemptTests {
    static let epoch: Int64 = 1_735_689_600_000_000

    /// `ms` after the start of the test.
    static func at(_ ms: Int64) -> Now {
        Now(wall: Instant(microseconds: epoch + ms * 1_000), monotonic: MonotonicInstant(microseconds: ms * 1_000))
    }
    static func attempt(
        timeout: Duration? = .seconds(30), grace: Duration = .seconds(5), heartbeat: Duration? = nil, memory: UInt64? = nil
    ) -> Attempt {
        Attempt(limits: .init(timeout: timeout, killGrace: grace, heartbeat: heartbeat, memory: memory))
    }
    static func result(_ code: ResultCode, _ text: String = "") -> Attempt.Event {
        .result(RunResult(run: RunID(1), code: code, text: text))
    }
    static func ending(_ actions: [Attempt.Action]) -> Attempt.Ending? {
        for case .finish(let ending) in actions { return ending }
        return nil
    }
    static let killed = Attempt.Event.exited(ChildExit(.signal(9)), lastWords: "")

    @Test func theLimitCountsFromTheStartNotFromTheSending() {
        var attempt = Self.attempt(timeout: .seconds(30))
        #expect(attempt.deadline == nil)
        #expect(attempt.handle(.tick, now: Self.at(60_000)) == [])
        #expect(attempt.handle(.started, now: Self.at(60_000)) == [])
        #expect(attempt.deadline == MonotonicInstant(microseconds: 90_000_000))
        #expect(attempt.handle(.tick, now: Self.at(89_999)) == [])
        #expect(attempt.handle(.tick, now: Self.at(90_000)) == [.setCancelFlag])
    }

    @Test func aRunWhoseWorkerIsKilledForAnotherIsLostNotCrashed() {
        var attempt = Self.attempt()
        _ = attempt.handle(.started, now: Self.at(0))
        #expect(attempt.handle(.workerKilled(becauseOf: RunID(41)), now: Self.at(1)) == [])
        let ending = Self.ending(attempt.handle(Self.killed, now: Self.at(2)))
        #expect(ending?.outcome == .lost)
        #expect(ending?.reason == "its worker was killed by this host because of run 41")
        // One that is over its own limit all the same is charged with that.
        var late = Self.attempt(timeout: .milliseconds(10), grace: .zero)
        _ = late.handle(.started, now: Self.at(0))
        _ = late.handle(.tick, now: Self.at(10))
        _ = late.handle(.workerKilled(becauseOf: RunID(41)), now: Self.at(11))
        #expect(Self.ending(late.handle(Self.killed, now: Self.at(12)))?.outcome == .timedOut)
        // And one that had not begun is due again.
        var waiting = Self.attempt()
        _ = waiting.handle(.workerKilled(becauseOf: RunID(41)), now: Self.at(1))
        #expect(waiting.handle(Self.killed, now: Self.at(2)) == [.returnUnattempted])
    }

    /// What it said after it broke the wire was not heard, so what it had been sent may have begun.
    @Test func aRunSentToAWorkerThatBrokeTheWireIsLostNotUnattempted() {
        var attempt = Self.attempt()
        #expect(attempt.handle(.wireBroken("nonsense"), now: Self.at(1)) == [])
        let ending = Self.ending(attempt.handle(Self.killed, now: Self.at(2)))
        #expect(ending?.outcome == .lost)
        #expect(ending?.reason == "its worker broke the wire, perhaps after it had begun: nonsense")
        var whole = Self.attempt()
        #expect(whole.handle(Self.killed, now: Self.at(2)) == [.returnUnattempted])
    }

    @Test(arguments: [
        // Believed: sent at 100, heard of at 200, ended at 300.
        (120, 50, 120, 170), (100, 0, 100, 100), (200, 100, 200, 300),
        // Cannot be: before it was sent, after it was heard of, beyond its end, backwards.
        (99, 50, 200, 300), (201, 50, 200, 300), (150, 151, 200, 300), (150, -1, 200, 300),
    ] as [(Int64, Int64, Int64, Int64)])
    func whatTheWorkerSaysOfTimeIsBelievedWhereItCanBe(started: Int64, took: Int64, from: Int64, to: Int64) {
        func wall(_ ms: Int64) -> Instant { Self.at(ms).wall }
        var result = RunResult(run: RunID(1), code: .succeeded)
        (result.startedAt, result.took) = (wall(started), .milliseconds(took))
        let times = Attempt.times(said: result, sent: wall(100), heard: wall(200), ended: wall(300))
        #expect(times.startedAt == wall(from) && times.finishedAt == wall(to))
        #expect(Attempt.times(said: nil, sent: wall(100), heard: wall(200), ended: wall(300)).startedAt == wall(200))
        #expect(Attempt.times(said: result, sent: wall(100), heard: nil, ended: wall(300)).startedAt == nil)
    }

    @Test func afterTheFlagComesTheKillAfterTheGrace() {
        var attempt = Self.attempt(timeout: .seconds(30), grace: .seconds(5))
        _ = attempt.handle(.started, now: Self.at(0))
        #expect(attempt.handle(.tick, now: Self.at(30_000)) == [.setCancelFlag])
        #expect(attempt.deadline == MonotonicInstant(microseconds: 35_000_000))
        #expect(attempt.handle(.tick, now: Self.at(35_000)) == [.kill])
        #expect(attempt.deadline == nil)
        let ending = Self.ending(attempt.handle(Self.killed, now: Self.at(35_002)))
        #expect(ending?.outcome == .timedOut)
        #expect(ending?.reason == "no result within 30s; killed 5s later")
    }

    @Test("A run ended by a stop or a reload gave way, whatever it said; one ended by an operator, or by itself, did not", arguments: [
        (CancelReason.drain, killed, true), (.drain, result(.cancelled, "stopping"), true), (.drain, result(.succeeded), false),
        (.operatorAsked, killed, false), (.operatorAsked, result(.cancelled, CancelReason.drain.rawValue), false),
        (nil, result(.cancelled, CancelReason.drain.rawValue), false),
    ] as [(CancelReason?, Attempt.Event, Bool)])
    func givingWay(reason: CancelReason?, end: Attempt.Event, gaveWay: Bool) {
        var attempt = Self.attempt()
        _ = attempt.handle(.started, now: Self.at(0))
        if let reason { _ = attempt.handle(.cancel(reason, grace: .seconds(1)), now: Self.at(1)) }
        #expect(Self.ending(attempt.handle(end, now: Self.at(2)))?.gaveWay == gaveWay)
    }

    @Test func withoutALimitNothingIsDue() {
        var attempt = Self.attempt(timeout: nil)
        _ = attempt.handle(.started, now: Self.at(0))
        #expect(attempt.deadline == nil)
    }

    @Test func progressPutsOffTheHeartbeatButNotTheLimit() {
        var attempt = Self.attempt(timeout: .seconds(30), heartbeat: .seconds(10))
        _ = attempt.handle(.started, now: Self.at(0))
        #expect(attempt.deadline == MonotonicInstant(microseconds: 10_000_000))
        _ = attempt.handle(.progress, now: Self.at(9_000))
        #expect(attempt.handle(.tick, now: Self.at(10_000)) == [])
        #expect(attempt.deadline == MonotonicInstant(microseconds: 19_000_000))
        _ = attempt.handle(.progress, now: Self.at(18_000))
        _ = attempt.handle(.progress, now: Self.at(27_000))
        #expect(attempt.handle(.tick, now: Self.at(30_000)) == [.setCancelFlag])
        let ending = Self.ending(attempt.handle(Self.result(.cancelled), now: Self.at(30_001)))
        #expect(ending?.reason == "no result within 30s; it stopped when asked")
    }

    @Test func silenceIsATimeout() {
        var attempt = Self.attempt(heartbeat: .seconds(10))
        _ = attempt.handle(.started, now: Self.at(0))
        #expect(attempt.handle(.tick, now: Self.at(10_000)) == [.setCancelFlag])
        _ = attempt.handle(.tick, now: Self.at(15_000))
        let ending = Self.ending(attempt.handle(Self.killed, now: Self.at(15_001)))
        #expect(ending?.outcome == .timedOut)
        #expect(ending?.reason == "no progress for 10s; killed 5s later")
    }

    @Test(arguments: [
        (ResultCode.succeeded, Outcome.succeeded), (.nothingToDo, .nothingToDo), (.retry, .retry), (.failed, .failed),
        (.snooze, .snoozed), (.cancelled, .cancelled), (.badSettings, .failed),
    ])
    func everyCodeHasItsOutcome(code: ResultCode, outcome: Outcome) {
        var attempt = Self.attempt()
        _ = attempt.handle(.started, now: Self.at(0))
        let ending = Self.ending(attempt.handle(Self.result(code), now: Self.at(5)))
        #expect(ending?.outcome == outcome)
        #expect(ending?.badSettings == (code == .badSettings))
    }

    @Test(arguments: [
        (ResultCode.succeeded, Outcome.succeeded, ""),
        (.nothingToDo, .nothingToDo, ""),
        (.cancelled, .timedOut, "no result within 30s; it stopped when asked"),
        (.failed, .failed, "after its limit of 30s"),
        (.retry, .retry, "after its limit of 30s"),
    ])
    func aResultInTheGraceStandsButCancelledMeansTimedOut(code: ResultCode, outcome: Outcome, reason: String) {
        var attempt = Self.attempt(timeout: .seconds(30))
        _ = attempt.handle(.started, now: Self.at(0))
        _ = attempt.handle(.tick, now: Self.at(30_000))
        let ending = Self.ending(attempt.handle(Self.result(code), now: Self.at(31_000)))
        #expect(ending?.outcome == outcome)
        #expect(ending?.reason == reason)
    }

    @Test func anOperatorsCancelEndsAsCancelledHoweverItEnds() {
        for (last, reason) in [
            (Self.result(.cancelled), "cancelled by an operator"),
            (Self.killed, "cancelled by an operator; killed 5s later"),
        ] {
            var attempt = Self.attempt()
            _ = attempt.handle(.started, now: Self.at(0))
            #expect(attempt.handle(.cancel(.operatorAsked, grace: .seconds(5)), now: Self.at(1_000)) == [.setCancelFlag])
            if case .exited = last { #expect(attempt.handle(.tick, now: Self.at(6_000)) == [.kill]) }
            let ending = Self.ending(attempt.handle(last, now: Self.at(6_001)))
            #expect(ending?.outcome == .cancelled)
            #expect(ending?.reason == reason)
        }
    }

    @Test func aSecondCancelWithAShorterGraceHastensTheKill() {
        var attempt = Self.attempt()
        _ = attempt.handle(.started, now: Self.at(0))
        _ = attempt.handle(.cancel(.drain, grace: .seconds(30)), now: Self.at(0))
        #expect(attempt.handle(.cancel(.drain, grace: .seconds(1)), now: Self.at(2_000)) == [])
        #expect(attempt.deadline == MonotonicInstant(microseconds: 3_000_000))
        #expect(attempt.handle(.cancel(.drain, grace: .seconds(60)), now: Self.at(2_000)) == [])
        #expect(attempt.deadline == MonotonicInstant(microseconds: 3_000_000))
    }

    @Test(arguments: [
        (ChildExit(.signal(11)), "exited by signal 11 (SIGSEGV)"),
        (ChildExit(.code(0)), "exited with code 0 before a result"),
        (ChildExit(.code(3)), "exited with code 3 before a result"),
        (ChildExit(.signal(9)), "exited by signal 9 (SIGKILL), not sent by this host: perhaps the machine ran out of memory"),
        (ChildExit(.code(68)), "exited with code 68 (lost its socket: the plugin closed or replaced the descriptor) before a result"),
    ])
    func anExitWithoutAResultIsACrash(status: ChildExit, reason: String) {
        var attempt = Self.attempt()
        _ = attempt.handle(.started, now: Self.at(0))
        let ending = Self.ending(attempt.handle(.exited(status, lastWords: ""), now: Self.at(5)))
        #expect(ending?.outcome == .crashed)
        #expect(ending?.reason == reason)
    }

    @Test(arguments: [
        (256_000_000, "256MB"), (268_435_456, "256MiB"), (1_500_000_000, "1.5GB"), (0, "0B"), (999, "999B"),
    ] as [(UInt64, String)])
    func sizesReadAsTheConfigWritesThem(_ bytes: UInt64, _ text: String) {
        #expect(brief(bytes: bytes) == text)
        #expect(brief(bytes: 300_000_000, units: SizeUnits(of: 268_435_456)) == "286.1MiB")
    }

    @Test(arguments: [
        (0, "0ms"), (268, "0.2ms"), (5_268, "5.2ms"), (9_000, "9ms"), (35_999, "35ms"), (1_250_000, "1.2s"), (90_000_000, "1m30s"),
    ] as [(Int64, String)])
    func durationsInSentencesAreShort(_ microseconds: Int64, _ text: String) {
        #expect(brief(.microseconds(microseconds)) == text)
    }

    @Test func theMemoryLimitIsTold() {
        let limit: UInt64 = 256_000_000
        var watched = Self.attempt(memory: limit)
        _ = watched.handle(.started, now: Self.at(0))
        #expect(watched.handle(.memoryExceeded(resident: 300_000_000), now: Self.at(5)) == [.kill])
        #expect(Self.ending(watched.handle(Self.killed, now: Self.at(6)))?.reason == "memory limit of 256MB: 300MB resident; killed")
        for (status, words, isMemory) in [
            (ChildExit(.signal(6), maxResident: 250_000_000), "", true),
            (ChildExit(.signal(11), maxResident: 1 << 20), "Cannot allocate memory", true),
            (ChildExit(.signal(6), maxResident: 1 << 20), "terminate called … std::bad_alloc", true),
            (ChildExit(.signal(11), maxResident: 1 << 20), "", false),
            (ChildExit(.code(0), maxResident: 250_000_000), "", false),
        ] {
            var attempt = Self.attempt(memory: limit)
            _ = attempt.handle(.started, now: Self.at(0))
            let reason = Self.ending(attempt.handle(.exited(status, lastWords: words), now: Self.at(5)))?.reason ?? ""
            #expect(reason.hasPrefix("memory limit of 256MB") == isMemory, "\(status) \(words): \(reason)")
        }
    }

    @Test func whatNeverStartedGoesBackUnlessAnOperatorCancelledIt() {
        for event in [Attempt.Event.returned, Self.killed] {
            var attempt = Self.attempt()
            #expect(attempt.handle(event, now: Self.at(0)) == [.returnUnattempted])
            var drained = Self.attempt()
            #expect(drained.handle(.cancel(.drain, grace: .zero), now: Self.at(0)) == [.setCancelFlag])
            #expect(drained.deadline == nil)
            #expect(drained.handle(event, now: Self.at(0)) == [.returnUnattempted])
            var cancelled = Self.attempt()
            _ = cancelled.handle(.cancel(.operatorAsked, grace: .zero), now: Self.at(0))
            #expect(Self.ending(cancelled.handle(event, now: Self.at(0)))?.outcome == .cancelled)
        }
    }

    @Test(arguments: [
        (-5_000, 0, ""), (60_000, 60_000, ""), (0, 0, ""),
        (400 * 86_400_000, 366 * 86_400_000, "asked for a time more than 366d away: shortened to that"),
        (9_000_000_000_000_000, 366 * 86_400_000, "asked for a time more than 366d away: shortened to that"),
    ] as [(Int64, Int64, String)])
    func aSnoozeIsNeitherInThePastNorAbsurdlyFar(wish: Int64, granted: Int64, reason: String) {
        var attempt = Self.attempt()
        _ = attempt.handle(.started, now: Self.at(0))
        var result = RunResult(run: RunID(1), code: .snooze)
        result.snoozeUntil = Self.at(wish).wall
        let ending = Self.ending(attempt.handle(.result(result), now: Self.at(0)))
        #expect(ending?.snoozeUntil == Self.at(granted).wall)
        #expect(ending?.reason == reason)
    }

    @Test func theStateIsChosenByTheOutcome() {
        let good = StateBlob(version: 1, bytes: [1])
        let any = StateBlob(version: 1, bytes: [2])
        for (code, onSuccess, always, stored) in [
            (ResultCode.succeeded, good, any, good), (.nothingToDo, good, any, good), (.failed, good, any, any),
            (.retry, good, nil, nil), (.succeeded, nil, any, any),
        ] as [(ResultCode, StateBlob?, StateBlob?, StateBlob?)] {
            var attempt = Self.attempt()
            _ = attempt.handle(.started, now: Self.at(0))
            let result = RunResult(run: RunID(1), code: code, stateOnSuccess: onSuccess, stateAlways: always)
            #expect(Self.ending(attempt.handle(.result(result), now: Self.at(1)))?.state == stored)
        }
    }

    @Test func whateverHappensAnAttemptEndsExactlyOnce() {
        for seed in UInt64(1)...2_000 {
            var generator = Seeded(seed)
            var attempt = Self.attempt(
                timeout: generator.one(of: [nil, .zero, .milliseconds(5), .seconds(30)]),
                grace: generator.one(of: [.zero, .milliseconds(3), .seconds(5)]),
                heartbeat: generator.one(of: [nil, .milliseconds(2)]), memory: generator.one(of: [nil, 1 << 20])
            )
            var ends = 0
            var time: Int64 = 0
            for _ in 0..<40 {
                time += Int64(generator.below(10))
                for action in attempt.handle(Self.randomEvent(&generator), now: Self.at(time)) {
                    switch action {
                    case .finish, .returnUnattempted: ends += 1
                    case .setCancelFlag, .kill: #expect(ends == 0, "seed \(seed)")
                    }
                }
            }
            for action in attempt.handle(Self.killed, now: Self.at(time)) {
                switch action {
                case .finish, .returnUnattempted: ends += 1
                case .setCancelFlag, .kill: break
                }
            }
            #expect(ends == 1, "seed \(seed)")
            #expect(attempt.ended && attempt.deadline == nil, "seed \(seed)")
        }
    }

    private static func randomEvent(_ generator: inout Seeded) -> Attempt.Event {
        switch generator.below(14) {
        case 0, 1: .started
        case 2, 3: .progress
        case 4, 5, 6, 7: .tick
        case 8: .cancel(generator.one(of: [.operatorAsked, .drain, .leaseLost]), grace: .milliseconds(Int64(generator.below(8))))
        case 9: .memoryExceeded(resident: 2 << 20)
        case 10: .wireBroken("nonsense")
        case 11: result(ResultCode(rawValue: UInt8(generator.below(7))) ?? .failed)
        case 12: .returned
        default: generator.below(4) == 0 ? killed : .tick
        }
    }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
    mutating func one<T>(of choices: [T]) -> T { choices[below(choices.count)] }
}
