import Testing
@testable import JobCore

@Suite struct BusinessCalendarTests {
    static func session(_ open: String, _ close: String) -> BusinessCalendar.Session {
        .init(open: CivilTime.secondOfDay(open)!, close: CivilTime.secondOfDay(close)!)
    }
    static func date(_ text: String) -> CivilDate { CivilDate(text)! }

    /// New York: Monday to Friday 09:30–16:00.
    static let nyse = BusinessCalendar(
        weekly: (0..<7).map { (1...5).contains($0) ? [session("09:30", "16:00")] : [] },
        holidays: [date("2025-12-25")], halfDays: [date("2025-12-24"): .closesAt(13 * 3_600), date("2025-11-28"): .sessions([session("10:00", "11:00"), session("12:00", "13:00")])])
    /// Chicago: Sunday to Thursday 17:00 until 16:00 the next day.
    static let futures = BusinessCalendar(weekly: (0..<7).map { (0...4).contains($0) ? [session("17:00", "16:00")] : [] }, holidays: [date("2025-07-04")])

    @Test(arguments: [
        ("2025-06-02T13:29:59Z", false), ("2025-06-02T13:30:00Z", true), ("2025-06-02T19:59:59Z", true), ("2025-06-02T20:00:00Z", false),
        ("2025-06-01T15:00:00Z", false), ("2025-12-25T15:00:00Z", false), ("2025-12-24T17:59:59Z", true), ("2025-12-24T18:00:00Z", false),
        ("2025-11-28T14:30:00Z", false), ("2025-11-28T15:30:00Z", true), ("2025-11-28T16:30:00Z", false), ("2025-11-28T17:30:00Z", true),
        ("2025-03-07T14:30:00Z", true), ("2025-03-10T13:30:00Z", true), ("2025-03-10T20:30:00Z", false),
    ]) func exchangeHours(instant: String, isOpen: Bool) {
        #expect(Self.nyse.isOpen(at: at(instant), in: SystemZones.newYork) == isOpen)
    }

    @Test(arguments: [
        // Sunday 17:00 to Monday 16:00 in Chicago, UTC−5 in summer.
        ("2025-06-01T21:59:59Z", false), ("2025-06-01T22:00:00Z", true), ("2025-06-02T04:59:00Z", true), ("2025-06-02T20:59:59Z", true),
        ("2025-06-02T21:00:00Z", false), ("2025-06-02T22:00:00Z", true), ("2025-06-06T20:59:00Z", true), ("2025-06-06T22:00:00Z", false),
        // The holiday cuts the session of the evening before at midnight.
        ("2025-07-04T04:59:59Z", true), ("2025-07-04T05:00:00Z", false),
    ]) func sessionsOverMidnight(instant: String, isOpen: Bool) {
        #expect(Self.futures.isOpen(at: at(instant), in: SystemZones.zone("America/Chicago")) == isOpen)
    }

    @Test("Fires of the time when it is open are those of each instant asked alone; closed times are not visited, however many fires they have")
    func openFires() {
        func open(_ spec: ScheduleSpec, _ calendar: BusinessCalendar?, _ from: String, _ to: String, most: Int = 10_000) -> [Instant]? {
            Schedule(spec: spec, zone: .utc).openFires(from: at(from), to: at(to), calendar: calendar, in: SystemZones.newYork, most: most)
        }
        let minutes = ScheduleSpec.every(.seconds(600), phase: .seconds(7))
        var alone: [Instant] = []
        var fire = at("2025-11-24T00:00:07Z")
        while fire < at("2025-12-02T00:00Z") {
            if Self.nyse.isOpen(at: fire, in: SystemZones.newYork) { alone.append(fire) }
            fire = fire + .seconds(600)
        }
        #expect(alone.count > 150)
        #expect(open(minutes, Self.nyse, "2025-11-24T00:00Z", "2025-12-02T00:00Z") == alone)
        #expect(open(.every(.seconds(60), phase: .zero), Self.nyse, "2025-06-02T13:29Z", "2025-06-02T13:32Z") == [at("2025-06-02T13:30Z"), at("2025-06-02T13:31Z")])
        // Six years of seconds.
        let never = BusinessCalendar(weekly: [])
        #expect(open(.every(.milliseconds(1), phase: .zero), never, "2020-01-01T00:00Z", "2026-01-01T00:00Z") == [])
        #expect(open(minutes, nil, "2025-11-24T00:00Z", "2025-11-24T01:00Z", most: 6)?.count == 6)
        #expect(open(minutes, nil, "2025-11-24T00:00Z", "2025-11-24T01:00Z", most: 5) == nil)
        // Open at times that no fire meets.
        let seconds = BusinessCalendar(weekly: (0..<7).map { _ in [.init(open: 36_000, close: 36_001)] })
        let odd = ScheduleSpec.every(.seconds(3_600), phase: .seconds(5))
        #expect(open(odd, seconds, "2025-01-01T00:00Z", "2025-01-05T00:00Z") == [])
        #expect(open(odd, seconds, "1000-01-01T00:00Z", "2025-01-01T00:00Z") == nil, "it would be looked at for a minute")
    }

    @Test func theNextChange() {
        let zone = SystemZones.newYork
        #expect(Self.nyse.nextChange(after: at("2025-06-02T13:00Z"), in: zone) == at("2025-06-02T13:30Z"))
        #expect(Self.nyse.nextChange(after: at("2025-06-02T13:30Z"), in: zone) == at("2025-06-02T20:00Z"))
        #expect(Self.nyse.nextChange(after: at("2025-06-02T20:00Z"), in: zone) == at("2025-06-03T13:30Z"))
        #expect(Self.nyse.nextChange(after: at("2025-12-24T18:00Z"), in: zone) == at("2025-12-26T14:30Z"))
        #expect(Self.nyse.nextChange(after: at("2025-12-24T15:00Z"), in: zone) == at("2025-12-24T18:00Z"))
        for (limit, expected) in [("17:00", nil), ("18:00", nil), ("18:01", at("2025-12-24T18:00Z"))] as [(String, Instant?)] {
            #expect(Self.nyse.nextChange(after: at("2025-12-24T15:00Z"), before: at("2025-12-24T\(limit)Z"), in: zone) == expected)
        }
        // Friday's close is at UTC−5, Monday's opening at UTC−4.
        #expect(Self.nyse.nextChange(after: at("2025-03-07T21:00Z"), in: zone) == at("2025-03-10T13:30Z"))
    }

    @Test func neighbouringSessionsAreOneOpening() {
        let always = BusinessCalendar(weekly: (0..<7).map { _ in [Self.session("00:00", "24:00")] })
        #expect(always.isOpen(at: at("2025-06-02T00:00Z"), in: .utc))
        #expect(always.nextChange(after: at("2025-06-02T12:00Z"), in: .utc) == nil)
        let never = BusinessCalendar(weekly: [])
        #expect(!never.isOpen(at: at("2025-06-02T00:00Z"), in: .utc))
        #expect(never.nextChange(after: at("2025-06-02T12:00Z"), in: .utc) == nil)
        let allHolidays = BusinessCalendar(weekly: [[Self.session("09:00", "10:00")]], holidays: Set((0..<4_000).map { CivilDate(daysSinceEpoch: 20_000 + $0) }))
        #expect(allHolidays.nextChange(after: Instant(seconds: 20_000 * 86_400), in: .utc) == nil)
    }

    @Test func whyItIsClosed() {
        let zone = SystemZones.newYork
        #expect(Self.nyse.closedReason(at: at("2025-12-25T15:00Z"), in: zone) == "2025-12-25 (Thursday) is a holiday")
        #expect(Self.nyse.closedReason(at: at("2025-12-24T19:00Z"), in: zone) == "2025-12-24 (Wednesday, a half day) is open 09:30-13:00")
        #expect(Self.nyse.closedReason(at: at("2025-06-01T15:00Z"), in: zone) == "2025-06-01 (Sunday) has no session")
        #expect(Self.nyse.closedReason(at: at("2025-06-02T15:00Z"), in: zone) == nil)
    }

    @Test func aClockPutBackOverMidnightShowsTheEveningAgain() {
        // St. John's, 2010-11-07 at 00:01: back to 23:01 of the 6th.
        let zone = SystemZones.zone("America/St_Johns")
        var weekly = [[BusinessCalendar.Session]](repeating: [], count: 7)
        weekly[6] = [Self.session("23:30", "23:45")]
        weekly[0] = [Self.session("00:00", "00:30")]
        let calendar = BusinessCalendar(weekly: weekly)
        var changes: [String] = []
        var instant = at("2010-11-07T01:00Z")
        while changes.count < 8, let next = calendar.nextChange(after: instant, in: zone) {
            changes.append(String(next.rfc3339.dropFirst(11)))
            instant = next
        }
        #expect(changes == ["02:00:00Z", "02:15:00Z", "02:30:00Z", "02:31:00Z", "03:00:00Z", "03:15:00Z", "03:30:00Z", "04:00:00Z"])
    }

    @Test func changesAreExactlyWhereTheAnswerChanges() {
        var random = SeededGenerator(seed: 0xCA1)
        for name in ["UTC", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut", "Pacific/Apia", "America/Havana"] {
            let zone = SystemZones.zone(name)
            for _ in 0..<6 {
                let calendar = Self.random(&random)
                let change = zone.nextTransition(after: Instant(seconds: Int64.random(in: 900_000_000...1_700_000_000, using: &random)))?.instant ?? at("2011-12-30T10:00Z")
                let start = change - .seconds(2 * 86_400)
                var expected: [Instant] = []
                var minute = start
                while minute < change + .seconds(2 * 86_400) {
                    let next = minute + .seconds(60)
                    if calendar.isOpen(at: next, in: zone) != calendar.isOpen(at: minute, in: zone) { expected.append(next) }
                    minute = next
                }
                var found: [Instant] = []
                var instant = start
                while let next = calendar.nextChange(after: instant, in: zone), next <= minute {
                    found.append(next)
                    instant = next
                }
                #expect(found == expected, "\(name) \(calendar.weekly)")
            }
        }
    }

    private static func random(_ random: inout SeededGenerator) -> BusinessCalendar {
        BusinessCalendar(weekly: (0..<7).map { _ in
            (0..<Int.random(in: 0...2, using: &random)).map { _ in
                .init(open: Int.random(in: 0..<96, using: &random) * 900, close: Int.random(in: 0...96, using: &random) * 900)
            }
        })
    }
}
