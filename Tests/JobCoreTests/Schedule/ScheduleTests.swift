import Testing
@testable import JobCore

@Suite struct ScheduleTests {
    func every(_ interval: Duration, phase: Duration = .zero) -> Schedule { Schedule(spec: .every(interval, phase: phase), zone: .utc) }

    @Test func intervalsCountFromTheEpoch() {
        #expect(every(.seconds(10)).next(after: at("2025-03-09T06:59:55Z")) == at("2025-03-09T07:00:00Z"))
        #expect(every(.seconds(10)).next(after: at("2025-03-09T07:00:00Z")) == at("2025-03-09T07:00:10Z"))
        #expect(every(.seconds(86_400), phase: .seconds(3_600)).next(after: at("2025-03-09T07:00Z")) == at("2025-03-10T01:00Z"))
        #expect(every(.seconds(86_400), phase: .seconds(-3_600)).next(after: at("2025-03-09T07:00Z")) == at("2025-03-09T23:00Z"))
        #expect(every(.seconds(7), phase: .seconds(3)).next(after: Instant(seconds: -100)) == Instant(seconds: -95))
        #expect(every(.milliseconds(250)).next(after: .epoch) == Instant(milliseconds: 250))
    }

    @Test func nextPreviousAndCountAgree() {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<2_000 {
            let schedule = every(
                .microseconds(Int64.random(in: 1_000...10_000_000, using: &random)), phase: .microseconds(Int64.random(in: -100_000_000...100_000_000, using: &random)))
            let instant = Instant(microseconds: Int64.random(in: -1_000_000_000_000...1_000_000_000_000, using: &random))
            guard let next = schedule.next(after: instant), let previous = schedule.previous(atOrBefore: instant) else {
                Issue.record("an interval without fires")
                return
            }
            #expect(previous <= instant && instant < next)
            #expect(schedule.next(after: previous) == next)
            #expect(schedule.count(after: previous, upTo: next) == 1)
            #expect(schedule.count(after: instant, upTo: next + (next - previous) * 9) == 10)
        }
    }

    @Test func impossibleIntervalsAreAMillisecondAndTheEndsOfTimeNoTrap() {
        for interval in [Duration.zero, .seconds(-1), .microseconds(1)] {
            #expect(every(interval).next(after: .epoch) == Instant(milliseconds: 1))
        }
        for interval in [Duration.milliseconds(1), .seconds(1 << 60)] {
            for phase in [Duration.zero, .seconds(1 << 60), .seconds(-(1 << 60))] {
                let schedule = every(interval, phase: phase)
                #expect(schedule.next(after: .distantFuture) == nil)
                if let last = schedule.previous(atOrBefore: .distantFuture) { #expect(last <= .distantFuture) }
                if let first = schedule.next(after: .distantPast) { #expect(first > .distantPast) }
                #expect(schedule.count(after: .distantPast, upTo: .distantFuture) >= 0)
            }
        }
    }
}
