import Testing
@testable import JobCore

/// The rules for clock changes, each with the instants that the design gives.
@Suite struct ClockChangeTests {
    let newYork = SystemZones.newYork

    // 1. Fixed, in the gap: once, at the first valid instant.

    @Test func fixedTimeInTheGapFiresOnceAtItsEnd() {
        #expect(fires("30 2 * * *", newYork, after: "2025-03-08T12:00Z", count: 2) == ["2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"])
    }
    @Test func twoFixedTimesInOneGapFireTogetherOnce() {
        #expect(fires("0,30 2 * * *", newYork, after: "2025-03-08T12:00Z", count: 3)
            == ["2025-03-09T07:00:00Z", "2025-03-10T06:00:00Z", "2025-03-10T06:30:00Z"])
    }
    @Test func fixedTimeInTheGapAndOneAtItsEndAreOneFire() {
        #expect(fires("0 2,3 * * *", newYork, after: "2025-03-08T12:00Z", count: 2) == ["2025-03-09T07:00:00Z", "2025-03-10T06:00:00Z"])
        #expect(cron("0 2,3 * * *").count(after: at("2025-03-09T06:59Z"), upTo: at("2025-03-09T07:00Z"), in: newYork) == 1)
    }

    // 2. Interval across the gap: lost local times are not made up.

    @Test func intervalAcrossTheGapGoesOnEvenly() {
        #expect(fires("*/30 * * * *", newYork, after: "2025-03-09T06:00Z", count: 3)
            == ["2025-03-09T06:30:00Z", "2025-03-09T07:00:00Z", "2025-03-09T07:30:00Z"])
    }
    @Test func everyHourAtAMinuteSkipsTheLostHour() {
        #expect(fires("45 * * * *", newYork, after: "2025-03-09T06:00Z", count: 2) == ["2025-03-09T06:45:00Z", "2025-03-09T07:45:00Z"])
    }

    // 3. Interval wholly inside the gap, with no other match that day: one fire at its end.

    @Test func intervalWhollyInsideTheGapFiresOnceAtItsEnd() {
        #expect(fires("*/15 2 * * *", newYork, after: "2025-03-08T12:00Z", count: 2) == ["2025-03-09T07:00:00Z", "2025-03-10T06:00:00Z"])
    }
    @Test func intervalPartlyInsideTheGapDoesNot() {
        #expect(fires("30 2-3 * * *", newYork, after: "2025-03-08T12:00Z", count: 1) == ["2025-03-09T07:30:00Z"])
        #expect(fires("30 1-2 * * *", newYork, after: "2025-03-09T06:30Z", count: 1) == ["2025-03-10T05:30:00Z"])
    }

    // 4. Fixed, repeated hour: first only.

    @Test func fixedTimeInTheRepeatedHourFiresTheFirstTime() {
        #expect(fires("30 1 * * *", newYork, after: "2025-11-01T12:00Z", count: 2) == ["2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"])
    }

    // 5. Interval, repeated hour: both passes.

    @Test func intervalInTheRepeatedHourFiresInBothPasses() {
        #expect(fires("*/15 1 * * *", newYork, after: "2025-11-01T12:00Z", count: 9) == [
            "2025-11-02T05:00:00Z", "2025-11-02T05:15:00Z", "2025-11-02T05:30:00Z", "2025-11-02T05:45:00Z",
            "2025-11-02T06:00:00Z", "2025-11-02T06:15:00Z", "2025-11-02T06:30:00Z", "2025-11-02T06:45:00Z",
            "2025-11-03T06:00:00Z",
        ])
    }

    // 6. Midnight gap.

    @Test func midnightThatDoesNotExistFiresAtTheFirstInstantOfTheDay() {
        #expect(fires("0 0 * * *", SystemZones.santiago, after: "2025-09-06T12:00Z", count: 2) == ["2025-09-07T04:00:00Z", "2025-09-08T03:00:00Z"])
    }

    // 7. Half-hour shift.

    @Test func halfHourGap() {
        #expect(fires("15 2 * * *", SystemZones.lordHowe, after: "2025-10-04T00:00Z", count: 2) == ["2025-10-04T15:30:00Z", "2025-10-05T15:15:00Z"])
    }
    @Test func halfHourRepetition() {
        #expect(fires("45 1 * * *", SystemZones.lordHowe, after: "2025-04-05T00:00Z", count: 2) == ["2025-04-05T14:45:00Z", "2025-04-06T15:15:00Z"])
    }

    // Beyond the letter of the rules: what they mean where clocks did stranger things.

    @Test func aDayThatDoesNotExistFiresOnceAtTheStartOfTheNext() {
        // Samoa left out 30 December 2011.
        #expect(fires("0 12 * * *", SystemZones.apia, after: "2011-12-29T12:00Z", count: 3)
            == ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"])
        #expect(fires("*/20 6 30 12 *", SystemZones.apia, after: "2011-12-01T00:00Z", count: 1) == ["2011-12-30T10:00:00Z"])
    }
    @Test func whatAnExpressionIsFollowsFromItsTimeFieldsOnly() {
        for text in ["30 2 * * *", "0,30 2 */2 * 1-5", "5-5 3 * * *", "@daily", "@weekly", "15 30 2 * * *"] {
            #expect(!cron(text).isInterval, "\(text)")
        }
        for text in ["*/30 * * * *", "45 * * * *", "0 1-3 * * *", "5/15 2 * * *", "? 3 * * *", "@hourly", "*/10 0 0 * * *"] {
            #expect(cron(text).isInterval, "\(text)")
        }
    }
}
