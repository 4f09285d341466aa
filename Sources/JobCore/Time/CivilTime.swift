/// A date of the proleptic Gregorian calendar, without a zone.
public struct CivilDate: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let year: Int
    /// 1 … 12.
    public let month: Int
    /// 1 … 31.
    public let day: Int

    /// nil when there is no such date. Years −300,000 … 300,000, which is more than `Instant` spans.
    public init?(year: Int, month: Int, day: Int) {
        guard (-300_000...300_000).contains(year), (1...12).contains(month), day >= 1,
            day <= Gregorian.daysInMonth(month, leap: Gregorian.isLeap(Int64(year)))
        else { return nil }
        self.year = year
        self.month = month
        self.day = day
    }

    /// `daysSinceEpoch` counts from 1970-01-01; values outside ±109,000,000 are clamped.
    public init(daysSinceEpoch: Int64) {
        let (year, month, day) = Gregorian.civil(day: Swift.min(Swift.max(daysSinceEpoch, -109_000_000), 109_000_000))
        self.year = Int(year)
        self.month = month
        self.day = day
    }

    /// `2025-12-25`, exactly ten characters; nil for anything else.
    public init?(_ text: String) {
        var reader = DigitReader(text)
        guard let year = reader.number(digits: 4), reader.take("-"), let month = reader.number(digits: 2),
            reader.take("-"), let day = reader.number(digits: 2), reader.isAtEnd
        else { return nil }
        self.init(year: year, month: month, day: day)
    }

    /// Days since 1970-01-01.
    public var daysSinceEpoch: Int64 { Gregorian.day(year: Int64(year), month: month, day: day) }
    /// 0 is Sunday.
    public var weekday: Int { Gregorian.weekday(day: daysSinceEpoch) }

    public static func < (a: CivilDate, b: CivilDate) -> Bool {
        (a.year, a.month, a.day) < (b.year, b.month, b.day)
    }
    public var description: String {
        "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    }
}

/// A date and time of day as a wall clock shows it, without a zone, to the second.
public struct CivilTime: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let date: CivilDate
    /// 0 … 86,399. There are no leap seconds here.
    public let secondOfDay: Int

    public var hour: Int { secondOfDay / 3_600 }
    public var minute: Int { secondOfDay / 60 % 60 }
    public var second: Int { secondOfDay % 60 }

    public init?(date: CivilDate, hour: Int, minute: Int, second: Int = 0) {
        guard (0...23).contains(hour), (0...59).contains(minute), (0...59).contains(second) else { return nil }
        self.date = date
        secondOfDay = hour * 3_600 + minute * 60 + second
    }

    /// `localSeconds`: seconds from 1970-01-01 00:00:00 of the same wall clock.
    public init(localSeconds: Int64) {
        date = CivilDate(daysSinceEpoch: localSeconds.floorDivide(86_400))
        secondOfDay = Int(localSeconds.floorRemainder(86_400))
    }

    /// Seconds from 1970-01-01 00:00:00 of the same wall clock.
    public var localSeconds: Int64 { date.daysSinceEpoch * 86_400 + Int64(secondOfDay) }

    /// `09:30`, `09:30:15` or `24:00` as seconds after midnight, 0 … 86,400; nil for anything else.
    public static func secondOfDay(_ text: String) -> Int? {
        var reader = DigitReader(text)
        guard let hour = reader.number(digits: 2), reader.take(":"), let minute = reader.number(digits: 2) else {
            return nil
        }
        var second = 0
        if reader.take(":") {
            guard let value = reader.number(digits: 2) else { return nil }
            second = value
        }
        guard reader.isAtEnd, minute <= 59, second <= 59 else { return nil }
        let total = hour * 3_600 + minute * 60 + second
        return total <= 86_400 ? total : nil
    }

    public static func < (a: CivilTime, b: CivilTime) -> Bool {
        (a.date, a.secondOfDay) < (b.date, b.secondOfDay)
    }
    /// `2025-03-09 02:30:00`.
    public var description: String {
        "\(date) \(padded(hour, 2)):\(padded(minute, 2)):\(padded(second, 2))"
    }
}

extension Instant {
    /// The first and the last second that RFC 3339 can write.
    public static let earliestWritten = Instant(seconds: -62_167_219_200)
    public static let latestWritten = Instant(seconds: 253_402_300_799)

    /// RFC 3339 in UTC: `2025-03-09T07:00:00Z`, with `.mmm` or `.uuuuuu` only where they are not
    /// zero. Years beyond 0000 … 9999, which RFC 3339 cannot write, are printed with their sign
    /// or all their digits and are not read back.
    public var rfc3339: String {
        let civil = CivilTime(localSeconds: secondsFloor)
        let fraction = Int(microseconds.floorRemainder(1_000_000))
        guard (0...9_999).contains(civil.date.year) else {
            let tail =
                fraction == 0
                ? "" : fraction % 1_000 == 0 ? ".\(padded(fraction / 1_000, 3))" : ".\(padded(fraction, 6))"
            return "\(civil.date)T\(padded(civil.hour, 2)):\(padded(civil.minute, 2)):\(padded(civil.second, 2))\(tail)Z"
        }
        // A page of a thousand jobs has five thousand of them.
        return String(unsafeUninitializedCapacity: 27) { out in
            var end = 0
            func put(_ character: Unicode.Scalar) {
                out.initializeElement(at: end, to: UInt8(ascii: character))
                end += 1
            }
            func put(_ number: Int, digits: Int) {
                var rest = number
                for place in (0..<digits).reversed() {
                    out.initializeElement(at: end + place, to: UInt8(ascii: "0") + UInt8(rest % 10))
                    rest /= 10
                }
                end += digits
            }
            put(civil.date.year, digits: 4)
            put("-")
            put(civil.date.month, digits: 2)
            put("-")
            put(civil.date.day, digits: 2)
            put("T")
            put(civil.hour, digits: 2)
            put(":")
            put(civil.minute, digits: 2)
            put(":")
            put(civil.second, digits: 2)
            if fraction > 0 {
                put(".")
                if fraction % 1_000 == 0 { put(fraction / 1_000, digits: 3) } else { put(fraction, digits: 6) }
            }
            put("Z")
            return end
        }
    }

    /// Reads RFC 3339: an offset (`Z`, `+02:00`) is required, `T` may be a space, letters may be
    /// lower case, digits of the fraction after the sixth are cut off. nil for anything else,
    /// second 60 included: POSIX time cannot hold it.
    public init?(rfc3339 text: String) {
        var reader = DigitReader(text)
        guard let year = reader.number(digits: 4), reader.take("-"), let month = reader.number(digits: 2),
            reader.take("-"), let day = reader.number(digits: 2), let date = CivilDate(year: year, month: month, day: day),
            reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.number(digits: 2), reader.take(":"), let minute = reader.number(digits: 2),
            reader.take(":"), let second = reader.number(digits: 2),
            let civil = CivilTime(date: date, hour: hour, minute: minute, second: second)
        else { return nil }
        var fraction: Int64 = 0
        if reader.take(".") {
            guard let value = reader.fraction(digits: 6) else { return nil }
            fraction = value
        }
        guard let offset = reader.utcOffset(), reader.isAtEnd else { return nil }
        self.init(microseconds: (civil.localSeconds - offset) * 1_000_000 + fraction)
    }
}

/// Arithmetic of the proleptic Gregorian calendar on days since 1970-01-01. The algorithms are
/// Howard Hinnant's `days_from_civil` and `civil_from_days`
/// (https://howardhinnant.github.io/date_algorithms.html).
enum Gregorian {
    /// Days in 400 years. A multiple of 7: weekdays repeat with the same period.
    static let cycleDays: Int64 = 146_097

    static func day(year: Int64, month: Int, day: Int) -> Int64 {
        // Years begin in March here, so that the leap day is the last of its year.
        let y = month <= 2 ? year - 1 : year
        let era = y.floorDivide(400)
        let yearOfEra = y - era * 400
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * cycleDays + dayOfEra - 719_468
    }

    static func civil(day: Int64) -> (year: Int64, month: Int, day: Int) {
        let shifted = day + 719_468
        let era = shifted.floorDivide(cycleDays)
        let dayOfEra = shifted - era * cycleDays
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let dayOfMonth = Int(dayOfYear - (153 * monthFromMarch + 2) / 5) + 1
        let month = Int(monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9)
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfMonth)
    }

    /// 0 is Sunday; 1970-01-01 was a Thursday.
    static func weekday(day: Int64) -> Int { Int((day + 4).floorRemainder(7)) }

    static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    static func daysInMonth(_ month: Int, leap: Bool) -> Int {
        switch month {
        case 2: leap ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

/// `value` with leading zeros up to `width` digits; the sign of a negative one comes first.
func padded(_ value: Int, _ width: Int) -> String {
    let digits = String(value.magnitude)
    let zeros = String(repeating: "0", count: max(0, width - digits.utf8.count))
    return (value < 0 ? "-" : "") + zeros + digits
}

/// Reads fixed-width decimal text byte by byte.
private struct DigitReader {
    private var rest: Substring.UTF8View
    init(_ text: String) { rest = text[...].utf8 }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let byte = rest.first, UInt32(byte) == character.value else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func digit() -> Int? {
        guard let byte = rest.first, (48...57).contains(byte) else { return nil }
        rest.removeFirst()
        return Int(byte) - 48
    }

    mutating func number(digits: Int) -> Int? {
        var value = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    /// One or more digits after the point, as `digits` places; further ones are cut off.
    mutating func fraction(digits: Int) -> Int64? {
        var value: Int64 = 0
        var read = 0
        while let digit = digit() {
            if read < digits { value = value * 10 + Int64(digit) }
            read += 1
        }
        guard read > 0 else { return nil }
        while read < digits {
            value *= 10
            read += 1
        }
        return value
    }

    /// `Z`, `+hh:mm` or `-hh:mm` in seconds east of UTC.
    mutating func utcOffset() -> Int64? {
        if take("Z") || take("z") { return 0 }
        let sign: Int64 = take("+") ? 1 : take("-") ? -1 : 0
        guard sign != 0, let hour = number(digits: 2), take(":"), let minute = number(digits: 2), hour <= 23, minute <= 59
        else { return nil }
        return sign * Int64(hour * 3_600 + minute * 60)
    }
}
