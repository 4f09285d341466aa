/// Which days of a month the two day fields choose.
struct CronDays: Hashable, Sendable {
    // Day of month. Bit n stands for day n.
    var days: UInt32 = 0
    /// Bit n: `L-n`; bit 0: `L`.
    var fromLast: UInt32 = 0
    /// Bit n: `nW`, the weekday (Monday to Friday) nearest to day n in the same month.
    var nearest: UInt32 = 0
    /// `LW`
    var lastWorkday = false

    // Day of week. Bit 0 is Sunday.
    var weekdays: UInt8 = 0
    /// `FRIL`
    var lastWeekday: UInt8 = 0
    /// Bit 8·weekday + n: `MON#n`.
    var nthWeekday: UInt64 = 0

    /// Both fields are restricted, so that either may match. As cronie does: a field that starts
    /// with `*` is not a restriction, and then both must match.
    var either = false

    /// Bit n: day n is chosen, in a month of `length` days whose first is a `firstWeekday`.
    func mask(firstWeekday: Int, length: Int) -> UInt32 {
        let byDay = maskByDay(firstWeekday: firstWeekday, length: length)
        let byWeekday = maskByWeekday(firstWeekday: firstWeekday, length: length)
        return either ? byDay | byWeekday : byDay & byWeekday
    }

    func maskByDay(firstWeekday: Int, length: Int) -> UInt32 {
        var mask = days
        for n in 0..<length where fromLast >> n & 1 == 1 { mask |= 1 << (length - n) }
        for n in 1...length where nearest >> n & 1 == 1 {
            mask |= 1 << Self.workday(nearestTo: n, firstWeekday: firstWeekday, length: length)
        }
        if lastWorkday { mask |= 1 << Self.workday(nearestTo: length, firstWeekday: firstWeekday, length: length) }
        return mask & Self.all(length)
    }

    func maskByWeekday(firstWeekday: Int, length: Int) -> UInt32 {
        var mask: UInt32 = 0
        for day in 1...length {
            let weekday = (firstWeekday + day - 1) % 7
            let isLast = day + 7 > length && lastWeekday >> weekday & 1 == 1
            let isNth = nthWeekday >> (8 * weekday + (day + 6) / 7) & 1 == 1
            if weekdays >> weekday & 1 == 1 || isLast || isNth { mask |= 1 << day }
        }
        return mask
    }

    private static func all(_ length: Int) -> UInt32 { (~0 >> (31 - length)) & ~1 }

    /// Stays inside the month: the 1st on a Saturday gives the 3rd, a last day on a Sunday the
    /// Friday before.
    private static func workday(nearestTo day: Int, firstWeekday: Int, length: Int) -> Int {
        switch (firstWeekday + day - 1) % 7 {
        case 6: day > 1 ? day - 1 : day + 2
        case 0: day < length ? day + 1 : day - 2
        default: day
        }
    }
}
