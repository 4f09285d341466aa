/// A cron expression of five fields, or six with seconds first. `docs/CONFIG.md` has the syntax.
///
/// Everything that can be decided without a date is decided when the text is read: the two day
/// fields become one table of days for each of the 14 kinds of years, so that a search only
/// reads bits.
public struct CronExpression: Hashable, Sendable {
    /// As written, blanks folded.
    public let text: String
    /// The time of day has `*`, a range of more than one value, or a step: then what a clock change
    /// skips is not made up for, and what it repeats fires twice. Otherwise each day's times fire
    /// exactly once.
    public let isInterval: Bool

    let seconds: UInt64
    let minutes: UInt64
    let hours: UInt32
    let months: UInt16
    let days: CronDays
    /// Fields as written, for explanations.
    let written: [CronField: String]
    /// Bit n of element 12·kind + month − 1: day n fires. `kind` as in `Self.kind(ofYear:)`.
    let calendar: [UInt32]

    /// - Throws: `CronError` with a sentence for the person who wrote it.
    public init(_ text: String) throws(CronError) {
        let fields = try CronParser.parse(text)
        self.text = CronParser.canonical(text)
        isInterval = fields.isInterval
        seconds = fields.seconds
        minutes = fields.minutes
        hours = fields.hours
        months = fields.months
        days = fields.days
        written = fields.written
        calendar = Self.layOut(months: fields.months, days: fields.days)
        if calendar.allSatisfy({ $0 == 0 }) { throw Self.neverFires(fields, text: self.text) }
    }

    public static func == (a: CronExpression, b: CronExpression) -> Bool { a.text == b.text }
    public func hash(into hasher: inout Hasher) { hasher.combine(text) }

    private static func layOut(months: UInt16, days: CronDays) -> [UInt32] {
        var calendar: [UInt32] = []
        calendar.reserveCapacity(14 * 12)
        for kind in 0..<14 {
            var firstWeekday = kind % 7
            for month in 1...12 {
                let length = Gregorian.daysInMonth(month, leap: kind >= 7)
                let isChosen = months >> UInt16(month) & 1 == 1
                calendar.append(isChosen ? days.mask(firstWeekday: firstWeekday, length: length) : 0)
                firstWeekday = (firstWeekday + length) % 7
            }
        }
        return calendar
    }

    private static func neverFires(_ fields: CronFields, text: String) -> CronError {
        let months = CronField.month.names.enumerated().filter { fields.months >> UInt16($0.offset + 1) & 1 == 1 }
        let longest = months.map { Gregorian.daysInMonth($0.offset + 1, leap: true) }.max() ?? 31
        let names = months.map(\.element).joined(separator: ", ")
        return CronError(
            nil, found: text, "it can never fire, no year has such a day",
            hint: "\(names) \(months.count == 1 ? "has" : "have") at most \(longest) days; the last day of a month is L")
    }

    /// Weekday of 1 January, plus 7 in leap years: years of one kind have the same calendar.
    static func kind(ofYear year: Int64) -> Int {
        Gregorian.weekday(day: Gregorian.day(year: year, month: 1, day: 1)) + (Gregorian.isLeap(year) ? 7 : 0)
    }
}

// MARK: The local clock, on which nothing is ever skipped or repeated

extension CronExpression {
    /// A date that fires at all fires again within 40 years: 29 February on a given weekday is
    /// rarest, 28 years apart, or 40 across a century without a leap day.
    private static let searchYears: Int64 = 41

    /// The first match at or after `local` and before `limit`. Seconds since 1970-01-01 00:00:00
    /// of the local clock.
    func firstMatch(from local: Int64, before limit: Int64) -> Int64? {
        guard local < limit else { return nil }
        let today = local.floorDivide(86_400)
        var (year, month, day) = Gregorian.civil(day: today)
        let lastYear = year + Self.searchYears
        var kind = Self.kind(ofYear: year)
        var mask = calendar[kind * 12 + month - 1]
        if mask >> day & 1 == 1, let time = firstTime(from: Int(local.floorRemainder(86_400))) {
            return today * 86_400 + Int64(time) < limit ? today * 86_400 + Int64(time) : nil
        }
        mask &= day == 31 ? 0 : ~0 << (day + 1)
        while mask == 0 {
            month += 1
            if month > 12 {
                month = 1
                year += 1
                kind = Self.kind(ofYear: year)
                let newYear = Gregorian.day(year: year, month: 1, day: 1) * 86_400
                guard year <= lastYear, newYear < limit else { return nil }
            }
            mask = calendar[kind * 12 + month - 1]
        }
        day = mask.trailingZeroBitCount
        let match = Gregorian.day(year: year, month: month, day: day) * 86_400 + Int64(firstTime)
        return match < limit ? match : nil
    }

    /// The last match before `local` and at or after `limit`.
    func lastMatch(before local: Int64, from limit: Int64) -> Int64? {
        guard local > limit else { return nil }
        let today = (local - 1).floorDivide(86_400)
        var (year, month, day) = Gregorian.civil(day: today)
        let firstYear = year - Self.searchYears
        var kind = Self.kind(ofYear: year)
        var mask = calendar[kind * 12 + month - 1]
        if mask >> day & 1 == 1, let time = lastTime(through: Int((local - 1).floorRemainder(86_400))) {
            return today * 86_400 + Int64(time) >= limit ? today * 86_400 + Int64(time) : nil
        }
        mask &= (1 << day) - 1
        while mask == 0 {
            month -= 1
            if month < 1 {
                month = 12
                year -= 1
                kind = Self.kind(ofYear: year)
                let newYear = Gregorian.day(year: year + 1, month: 1, day: 1) * 86_400
                guard year >= firstYear, newYear > limit else { return nil }
            }
            mask = calendar[kind * 12 + month - 1]
        }
        day = 31 - mask.leadingZeroBitCount
        guard let time = lastTime(through: 86_399) else { return nil }
        let match = Gregorian.day(year: year, month: month, day: day) * 86_400 + Int64(time)
        return match >= limit ? match : nil
    }

    /// How many matches lie at or after `local` and before `limit`. The cost grows with the years
    /// between, not with the matches.
    func matches(from local: Int64, before limit: Int64) -> Int64 {
        guard local < limit else { return 0 }
        let perDay = Int64(hours.nonzeroBitCount * minutes.nonzeroBitCount * seconds.nonzeroBitCount)
        let wholeDays = matchingDays(from: local.floorDivide(86_400), before: limit.floorDivide(86_400))
        return wholeDays * perDay + matchesSinceMidnight(before: limit) - matchesSinceMidnight(before: local)
    }

    private func matchingDays(from first: Int64, before last: Int64) -> Int64 {
        let (firstYear, lastYear) = (Gregorian.civil(day: first).year, Gregorian.civil(day: last).year)
        var days = matchingDaysSinceNewYear(before: last) - matchingDaysSinceNewYear(before: first)
        for year in firstYear..<lastYear {
            let start = Self.kind(ofYear: year) * 12
            for month in start..<start + 12 { days += Int64(calendar[month].nonzeroBitCount) }
        }
        return days
    }

    private func matchingDaysSinceNewYear(before dayNumber: Int64) -> Int64 {
        let (year, month, day) = Gregorian.civil(day: dayNumber)
        let start = Self.kind(ofYear: year) * 12
        let before = calendar[start..<start + month - 1].reduce(0) { $0 + $1.nonzeroBitCount }
        return Int64(before + (calendar[start + month - 1] & ((1 << day) - 1)).nonzeroBitCount)
    }

    private func matchesSinceMidnight(before local: Int64) -> Int64 {
        let (year, month, day) = Gregorian.civil(day: local.floorDivide(86_400))
        guard calendar[Self.kind(ofYear: year) * 12 + month - 1] >> day & 1 == 1 else { return 0 }
        let time = Int(local.floorRemainder(86_400))
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60)
        var count = (hours & ((1 << hour) - 1)).nonzeroBitCount * minutes.nonzeroBitCount * seconds.nonzeroBitCount
        if hours >> hour & 1 == 1 {
            count += (minutes & ((1 << minute) - 1)).nonzeroBitCount * seconds.nonzeroBitCount
            if minutes >> minute & 1 == 1 { count += (seconds & ((1 << second) - 1)).nonzeroBitCount }
        }
        return Int64(count)
    }

    /// Seconds after midnight of the day's first time.
    private var firstTime: Int {
        hours.trailingZeroBitCount * 3_600 + minutes.trailingZeroBitCount * 60 + seconds.trailingZeroBitCount
    }

    /// The first time of a day at or after `time`.
    private func firstTime(from time: Int) -> Int? {
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60)
        if hours >> hour & 1 == 1 {
            if minutes >> minute & 1 == 1, let next = seconds.firstBit(from: second) {
                return hour * 3_600 + minute * 60 + next
            }
            if let next = minutes.firstBit(from: minute + 1) {
                return hour * 3_600 + next * 60 + seconds.trailingZeroBitCount
            }
        }
        guard let next = UInt64(hours).firstBit(from: hour + 1) else { return nil }
        return next * 3_600 + minutes.trailingZeroBitCount * 60 + seconds.trailingZeroBitCount
    }

    /// The last time of a day at or before `time`.
    private func lastTime(through time: Int) -> Int? {
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60)
        if hours >> hour & 1 == 1 {
            if minutes >> minute & 1 == 1, let last = seconds.lastBit(through: second) {
                return hour * 3_600 + minute * 60 + last
            }
            if let last = minutes.lastBit(through: minute - 1) {
                return hour * 3_600 + last * 60 + 63 - seconds.leadingZeroBitCount
            }
        }
        guard let last = UInt64(hours).lastBit(through: hour - 1) else { return nil }
        return last * 3_600 + (63 - minutes.leadingZeroBitCount) * 60 + 63 - seconds.leadingZeroBitCount
    }
}

extension UInt64 {
    fileprivate func firstBit(from index: Int) -> Int? {
        let rest = (self >> index) << index
        return rest == 0 ? nil : rest.trailingZeroBitCount
    }
    fileprivate func lastBit(through index: Int) -> Int? {
        guard index >= 0 else { return nil }
        let rest = self & (~0 >> (63 - index))
        return rest == 0 ? nil : 63 - rest.leadingZeroBitCount
    }
}
