import JobCore
import Testing

@testable import JobHost

@Suite("The wall clock is watched by the one that cannot be set") struct ClockWatchTests {
    private static func at(_ monotonic: Int64, wall: Int64) -> Now {
        Now(wall: Instant(milliseconds: wall), monotonic: MonotonicInstant(microseconds: monotonic * 1_000))
    }

    /// One look, ten seconds after the first, with the wall clock off by so much.
    @Test("What a difference means", arguments: [
        (0, ClockWatch.Verdict.steady), (50, .steady), (-50, .steady),
        (51, .stepped(by: .milliseconds(51))), (-51, .stepped(by: .milliseconds(-51))),
        (600_000, .stepped(by: .seconds(600))), (-600_000, .stepped(by: .seconds(-600))),
        (600_001, .jumped(by: .milliseconds(600_001))), (-600_001, .jumped(by: .milliseconds(-600_001))),
        (-31_536_000_000, .jumped(by: .seconds(-31_536_000))),
    ] as [(Int64, ClockWatch.Verdict)])
    func differences(milliseconds: Int64, verdict: ClockWatch.Verdict) {
        var watch = ClockWatch(now: Self.at(0, wall: 0))
        #expect(watch.observe(Self.at(10_000, wall: 10_000 + milliseconds)) == verdict)
        let isJump = abs(milliseconds) > 600_000
        #expect(watch.isHolding == isJump)
    }

    @Test("A clock that drifts by nine minutes an hour is followed and never held")
    func drift() {
        var watch = ClockWatch(now: Self.at(0, wall: 0))
        for hour in 1...24 as ClosedRange<Int64> {
            let verdict = watch.observe(Self.at(hour * 3_600_000, wall: hour * (3_600_000 + 540_000)))
            #expect(verdict == .stepped(by: .seconds(540)))
        }
        #expect(!watch.isHolding)
    }

    @Test("The hold lasts a minute by the clock that cannot be set")
    func hold() {
        var watch = ClockWatch(now: Self.at(0, wall: 0))
        #expect(watch.observe(Self.at(1_000, wall: 3_601_000)) == .jumped(by: .seconds(3_600)))
        #expect(watch.holdEnd(Self.at(1_000, wall: 3_601_000)) == Instant(milliseconds: 3_661_000))
        #expect(watch.observe(Self.at(60_999, wall: 3_660_999)) == .steady)
        #expect(watch.isHolding)
        #expect(watch.observe(Self.at(61_000, wall: 3_661_000)) == .resumed)
        #expect(!watch.isHolding)
        #expect(watch.holdEnd(Self.at(61_000, wall: 3_661_000)) == nil)
    }

    @Test("A second jump during the hold begins it anew")
    func again() {
        var watch = ClockWatch(now: Self.at(0, wall: 0))
        _ = watch.observe(Self.at(1_000, wall: 3_601_000))
        #expect(watch.observe(Self.at(31_000, wall: 31_000)) == .jumped(by: .seconds(-3_600)))
        #expect(watch.observe(Self.at(61_000, wall: 61_000)) == .steady)
        #expect(watch.observe(Self.at(91_000, wall: 91_000)) == .resumed)
    }
}
