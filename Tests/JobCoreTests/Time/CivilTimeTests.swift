import Testing
@testable import JobCore

@Suite struct CivilTimeTests {
    @Test func everyDayOfEightCenturiesSurvivesTheRoundTripInOrder() {
        var weekday = CivilDate(year: 1600, month: 1, day: 1)!.weekday
        var previous: CivilDate?
        for day in CivilDate(year: 1600, month: 1, day: 1)!.daysSinceEpoch..<CivilDate(year: 2401, month: 1, day: 1)!.daysSinceEpoch {
            let date = CivilDate(daysSinceEpoch: day)
            #expect(date.daysSinceEpoch == day && date.weekday == weekday)
            if let previous { #expect(previous < date) }
            previous = date
            weekday = (weekday + 1) % 7
        }
    }

    @Test(arguments: [
        (0, "1970-01-01", 4), (-1, "1969-12-31", 3), (11_016, "2000-02-29", 2), (19_782, "2024-02-29", 4),
        (20_156, "2025-03-09", 0), (-719_528, "0000-01-01", 6), (47_541, "2100-03-01", 1),
    ]) func knownDates(day: Int64, text: String, weekday: Int) {
        let date = CivilDate(daysSinceEpoch: day)
        #expect(date.description == text)
        #expect(date.weekday == weekday)
        #expect(CivilDate(text) == date)
    }

    @Test(arguments: ["2025-02-29", "2025-13-01", "2025-00-10", "2025-1-01", "2025-01-32", "", "2025-01-01 ", "२०२५-01-01"])
    func datesThatAreNone(text: String) { #expect(CivilDate(text) == nil) }

    @Test func timesOfDay() {
        #expect(CivilTime.secondOfDay("09:30") == 34_200)
        #expect(CivilTime.secondOfDay("23:59:59") == 86_399)
        #expect(CivilTime.secondOfDay("24:00") == 86_400)
        for text in ["24:01", "9:30", "09:60", "09:30:", "", "09-30", "09:30:60"] { #expect(CivilTime.secondOfDay(text) == nil) }
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00Z"), (1_741_503_600_000_000, "2025-03-09T07:00:00Z"),
        (1_741_503_600_250_000, "2025-03-09T07:00:00.250Z"), (1_741_503_600_000_001, "2025-03-09T07:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ]) func rfc3339BothWays(microseconds: Int64, text: String) {
        #expect(Instant(microseconds: microseconds).rfc3339 == text)
        #expect(Instant(rfc3339: text) == Instant(microseconds: microseconds))
    }

    @Test(arguments: [
        ("2025-03-09t07:00:00z", "2025-03-09T07:00:00Z"), ("2025-03-09 08:00:00+01:00", "2025-03-09T07:00:00Z"),
        ("2025-03-09T01:30:00-05:30", "2025-03-09T07:00:00Z"), ("2025-03-09T07:00:00.1Z", "2025-03-09T07:00:00.100Z"),
        ("2025-03-09T07:00:00.1234567899Z", "2025-03-09T07:00:00.123456Z"),
    ]) func rfc3339IsReadInItsOtherForms(text: String, canonical: String) {
        #expect(Instant(rfc3339: text)?.rfc3339 == canonical)
    }

    @Test(arguments: [
        "", "2025-03-09", "2025-03-09T07:00:00", "2025-03-09T07:00Z", "2025-02-30T07:00:00Z", "2025-03-09T24:00:00Z",
        "2025-03-09T07:60:00Z", "2025-03-09T07:00:60Z", "2025-03-09T07:00:00.Z", "2025-03-09T07:00:00+24:00",
        "2025-03-09T07:00:00+0100", "2025-03-09T07:00:00Zx", "2025-03-09T07:00:00 Z", "+025-03-09T07:00:00Z", "2025-03-09T07:00:00,5Z",
    ]) func rfc3339RefusesTheRest(text: String) { #expect(Instant(rfc3339: text) == nil) }

    @Test func theEndsOfTimeArePrintedAndNotReadBack() {
        #expect(Instant.distantFuture.rfc3339 == "294247-01-10T04:00:54.775807Z")
        #expect(Instant.distantPast.rfc3339 == "-290308-12-21T19:59:05.224192Z")
        #expect(Instant(rfc3339: Instant.distantFuture.rfc3339) == nil)
    }
}
