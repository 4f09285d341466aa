import JobCore
import Testing

@Suite("Runs that a worker was sent ahead of their instant") struct RunsAheadTests {
    private static let start = Now(wall: Instant(seconds: 1_700_000_000), monotonic: MonotonicInstant(microseconds: 5_000_000))
    private func after(_ ms: Int64, wallOff: Int64 = 0) -> Now {
        Now(wall: Self.start.wall + .milliseconds(ms + wallOff), monotonic: Self.start.monotonic + .milliseconds(ms))
    }
    private func frame(_ run: Int64, at ms: Int64) -> RunFrame {
        RunFrame(
            run: RunID(run), instance: 1, attempt: 1, trigger: .schedule, fireTime: Self.start.wall, timeout: .zero, fence: run,
            idempotencyKey: "", notBefore: after(ms))
    }
    private func ahead(_ frames: RunFrame...) -> RunsAhead {
        var ahead = RunsAhead()
        for frame in frames { ahead.add(frame, now: Self.start) }
        return ahead
    }

    @Test("Each begins at its instant, those of one instant in the order of their coming")
    func inOrder() {
        var ahead = ahead(frame(1, at: 200), frame(2, at: 100), frame(3, at: 200))
        #expect(ahead.next == after(100).monotonic)
        let early = ahead.due(now: after(99))
        #expect(early == [])
        let first = ahead.due(now: after(100))
        #expect(first == [.begin(frame(2, at: 100))])
        #expect(ahead.next == after(200).monotonic)
        let others = ahead.due(now: after(250))
        #expect(others == [.begin(frame(1, at: 200)), .begin(frame(3, at: 200))])
        #expect(ahead.isEmpty && ahead.next == nil)
    }

    @Test("What is taken back does not begin; what is not here any more cannot be")
    func takenBack() {
        var ahead = ahead(frame(1, at: 100), frame(2, at: 100), frame(3, at: 200))
        let isTaken = ahead.remove(RunID(1))
        #expect(isTaken)
        let isTakenAgain = ahead.remove(RunID(1))
        #expect(!isTakenAgain)
        let rest = ahead.due(now: after(100))
        #expect(rest == [.begin(frame(2, at: 100))])
        let isBegun = ahead.remove(RunID(2))
        #expect(!isBegun)
        let last = ahead.removeAll()
        #expect(last == [RunID(3)])
        let none = ahead.due(now: after(300))
        #expect(none == [])
    }

    @Test("Where the wall clock was set meanwhile, the instant is the supervisor's to judge", arguments: [-3_600_000, -51, 51, 3_600_000])
    func clockSet(by ms: Int64) {
        var ahead = ahead(frame(1, at: 100))
        let early = ahead.due(now: after(99, wallOff: ms))
        #expect(early == [], "no earlier than it would have begun")
        let judged = ahead.due(now: after(100, wallOff: ms))
        #expect(judged == [.giveBack(RunID(1))])
        #expect(ahead.isEmpty)
    }

    @Test("Slewing is followed: never before the instant by the wall clock")
    func slewed() {
        var slow = ahead(frame(1, at: 100))
        let early = slow.due(now: after(100, wallOff: -3))
        #expect(early == [])
        #expect(slow.next == after(103).monotonic)
        let then = slow.due(now: after(103, wallOff: -3))
        #expect(then == [.begin(frame(1, at: 100))])
        var fast = ahead(frame(1, at: 100))
        let atOnce = fast.due(now: after(100, wallOff: 3))
        #expect(atOnce == [.begin(frame(1, at: 100))])
    }
}
