import Testing
@testable import JobCore

@Suite struct ExplainTests {
    func explanation(_ text: String, _ zone: Zone, _ instant: String, calendar: (BusinessCalendar, Zone)? = nil) -> ScheduleExplanation {
        explain(schedule: Schedule(spec: .cron(cron(text), timeZone: zone.name), zone: zone), zone: zone, calendar: calendar, at: at(instant))
    }

    @Test func aPlainFire() {
        let result = explanation("30 9 * * MON-FRI", SystemZones.newYork, "2025-06-02T13:30Z")
        #expect(result.isFire && !result.isClosed)
        #expect(result.sentences == [
            "2025-06-02T13:30:00Z is a fire time of \"30 9 * * MON-FRI\": it is 2025-06-02 09:30:00 EDT in America/New_York.",
            "The fire before is 2025-05-30T13:30:00Z (2025-05-30 09:30:00 EDT), the next is 2025-06-03T13:30:00Z (2025-06-03 09:30:00 EDT).",
        ])
        #expect(result.previous == at("2025-05-30T13:30Z") && result.next == at("2025-06-03T13:30Z"))
    }

    @Test func fieldsThatDoNotMatchAreNamed() {
        #expect(explanation("30 9 * 5 MON-FRI", .utc, "2025-06-01T09:31Z").sentences[0]
            == "2025-06-01T09:31:00Z is not a fire time of \"30 9 * 5 MON-FRI\": it is 2025-06-01 09:31:00 UTC in UTC, and the month is 6, allowed is 5, and the day-of-week is SUN, allowed is MON-FRI, and the minute is 31, allowed is 30.")
        #expect(explanation("0 0 13 * FRI", .utc, "2025-06-02T00:00Z").sentences[0].hasSuffix(
            "and the day-of-month is 2, allowed is 13, and the day-of-week is MON, allowed is FRI (one of the two would do)."))
        #expect(explanation("0 0 * * *", .utc, "2025-06-02T00:00:05Z").sentences[0].hasSuffix("and the second is 5, allowed is 0."))
        #expect(explanation("@daily", .utc, "2025-06-02T05:00Z").sentences[0].hasSuffix("and the hour is 5, allowed is 0."))
        #expect(explanation("0 0 * * *", .utc, "2025-06-02T00:00:00.500Z").sentences[0].hasSuffix("fire times are whole seconds."))
    }

    @Test func theGap() {
        let fixed = explanation("30 2 * * *", SystemZones.newYork, "2025-03-09T07:00Z")
        #expect(fixed.isFire)
        #expect(fixed.sentences[1] == "The clock went forward from 2025-03-09 02:00:00 to 2025-03-09 03:00:00; 2025-03-09 02:30:00 did not exist: a fixed time that is left out fires once, at the end of the gap.")
        let interval = explanation("*/15 2 * * *", SystemZones.newYork, "2025-03-09T07:00Z")
        #expect(interval.isFire)
        #expect(interval.sentences[1].hasSuffix("all its times of that day were left out, so it fires once, at the end of the gap."))
        let lost = explanation("45 * * * *", SystemZones.newYork, "2025-03-09T07:00Z")
        #expect(!lost.isFire)
        #expect(lost.sentences[1] == "The clock went forward here and left out 2025-03-09 02:45:00; what it leaves out of an interval is not made up for.")
    }

    @Test func theRepeatedHour() {
        let second = explanation("30 1 * * *", SystemZones.newYork, "2025-11-02T06:30Z")
        #expect(!second.isFire)
        #expect(second.sentences[1] == "The clock went back and showed this time twice, at 2025-11-02T05:30:00Z and 2025-11-02T06:30:00Z; this is the second: a fixed time fires the first time only, at 2025-11-02T05:30:00Z.")
        let interval = explanation("*/15 1 * * *", SystemZones.newYork, "2025-11-02T06:30Z")
        #expect(interval.isFire && interval.sentences[1].hasSuffix("this is the second: an interval fires both times."))
    }

    @Test func theCalendar() {
        let result = explanation("30 9 * * *", SystemZones.newYork, "2025-12-25T14:30Z", calendar: (BusinessCalendarTests.nyse, SystemZones.newYork))
        #expect(result.isFire && result.isClosed)
        #expect(result.sentences[1] == "The calendar is closed at 2025-12-25 09:30:00 America/New_York: 2025-12-25 (Thursday) is a holiday; the fire is recorded as skipped.")
    }

    @Test func otherRules() {
        func sentences(_ spec: ScheduleSpec) -> [String] {
            explain(schedule: Schedule(spec: spec, zone: .utc), zone: .utc, calendar: nil, at: at("2025-06-02T00:00:05Z")).sentences
        }
        #expect(sentences(.every(.seconds(10), phase: .zero)) == [
            "2025-06-02T00:00:05Z is not a fire time of the interval: it fires every 10s counted from 1970-01-01T00:00:00Z.",
            "The fire before is 2025-06-02T00:00:00Z, the next is 2025-06-02T00:00:10Z.",
        ])
        #expect(sentences(.once(at("2025-06-02T00:00:05Z")))[0] == "The schedule fires once, at 2025-06-02T00:00:05Z.")
        #expect(sentences(.none) == ["The job has no fire times: it runs by hand or when a run is enqueued."])
        #expect(sentences(.after(job: "candles")) == ["The job has no fire times: it runs when a run of candles has succeeded."])
        #expect(sentences(.afterFinish(.seconds(90))) == ["The job is due 90s after its last run has ended, so no instant is a fire time by itself."])
        #expect(sentences(.adaptive(min: .seconds(5), max: .seconds(60)))[0].hasPrefix("The job is due between 5s and 1m after its last run has ended"))
    }

    @Test func remarksInAList() {
        let zone = SystemZones.newYork
        func remark(_ text: String, _ instant: String) -> String? {
            clockChangeRemark(schedule: Schedule(spec: .cron(cron(text), timeZone: zone.name), zone: zone), fire: at(instant))
        }
        #expect(remark("30 2 * * *", "2025-03-09T07:00Z") == "moved to the end of the gap in local time")
        #expect(remark("*/30 * * * *", "2025-03-09T07:00Z") == nil)
        #expect(remark("*/15 1 * * *", "2025-11-02T06:30Z") == "second pass of a repeated local time")
        #expect(remark("30 1 * * *", "2025-06-02T05:30Z") == nil)
    }

    /// The explanation and the schedule must not contradict each other.
    @Test func everyExplanationAgreesWithTheSchedule() throws {
        var random = SeededGenerator(seed: 0xE)
        for name in ["America/New_York", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia", "UTC"] {
            let zone = SystemZones.zone(name)
            for _ in 0..<60 {
                let expression = try CronExpression(CronOracle(&random, withSeconds: false).text)
                let schedule = Schedule(spec: .cron(expression, timeZone: name), zone: zone)
                let change = zone.nextTransition(after: Instant(seconds: Int64.random(in: 0...2_000_000_000, using: &random)))?.instant ?? .epoch
                for instant in [change, change + .seconds(1_800), change - .seconds(60), schedule.next(after: change) ?? change] {
                    let result = explain(schedule: schedule, zone: zone, calendar: nil, at: instant)
                    #expect(result.isFire == (schedule.count(after: instant - .microseconds(1), upTo: instant) == 1))
                    #expect(result.sentences[0].contains(result.isFire ? "is a fire time" : "is not a fire time"))
                    #expect(!result.sentences[0].hasSuffix("and ."), "\(result.sentences[0])")
                }
            }
        }
    }
}
