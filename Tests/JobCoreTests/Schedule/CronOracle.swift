@testable import JobCore

/// A cron expression and its fire times, worked out a second time from the words of the rules:
/// slowly, instant by instant, and without any code of the real one but the zone's offsets.
struct CronOracle {
    enum Days { case any(Set<Int>), last(minus: Int), lastWorkday, workday(Int), lastWeekday(Int), nth(Int, Int) }

    var text = ""
    var seconds: Set<Int> = [0]
    var minutes: Set<Int> = []
    var hours: Set<Int> = []
    var months: Set<Int> = []
    var day = Days.any([])
    var weekday = Days.any([])
    var either = false
    var isInterval = false

    /// Six fields with `withSeconds`, else five. Times are picked near night hours, where clocks change.
    init(_ random: inout SeededGenerator, withSeconds: Bool) {
        var fields: [String] = []
        if withSeconds { (seconds, isInterval) = Self.pick(0...59, isInterval, &fields, &random) }
        (minutes, isInterval) = Self.pick(0...59, isInterval, &fields, &random)
        if Bool.random(using: &random) {
            let hour = [0, 1, 2, 2, 3, 23].randomElement(using: &random)!
            hours = [hour]
            fields.append("\(hour)")
        } else {
            (hours, isInterval) = Self.pick(0...23, isInterval, &fields, &random)
        }
        let (dayText, day) = Self.dayField(&random)
        let (weekdayText, weekday) = Self.weekdayField(&random)
        self.day = day
        self.weekday = weekday
        either = dayText != "*" && weekdayText != "*"
        if Int.random(in: 0..<4, using: &random) == 0 {
            months = [3, 4, 9, 10, 11]
            fields += [dayText, "3,4,9-11", weekdayText]
        } else {
            months = Set(1...12)
            fields += [dayText, "*", weekdayText]
        }
        text = fields.joined(separator: " ")
    }

    /// A field's values; its text is appended to `fields`.
    private static func pick(
        _ range: ClosedRange<Int>, _ isInterval: Bool, _ fields: inout [String], _ random: inout SeededGenerator
    ) -> (Set<Int>, Bool) {
        let a = Int.random(in: range, using: &random)
        let b = Int.random(in: range, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0:
            fields.append("*")
            return (Set(range), true)
        case 1:
            let step = [5, 10, 15, 20].randomElement(using: &random)!
            fields.append("*/\(step)")
            return (Set(range.filter { $0 % step == 0 }), true)
        case 2:
            fields.append("\(a)-\(b)")
            return (Set(range.filter { a <= b ? a <= $0 && $0 <= b : $0 >= a || $0 <= b }), isInterval || a != b)
        case 3:
            fields.append("\(a),\(b)")
            return ([a, b], isInterval)
        default:
            fields.append("\(a)")
            return ([a], isInterval)
        }
    }

    private static func dayField(_ random: inout SeededGenerator) -> (String, Days) {
        let n = Int.random(in: 1...28, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return ("\(n)", .any([n]))
        case 1: return ("L", .last(minus: 0))
        case 2: return ("L-\(n % 5 + 1)", .last(minus: n % 5 + 1))
        case 3: return ("LW", .lastWorkday)
        case 4: return ("\(n)W", .workday(n))
        default: return ("*", .any(Set(1...31)))
        }
    }

    private static func weekdayField(_ random: inout SeededGenerator) -> (String, Days) {
        let n = Int.random(in: 0...6, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return ("\(n)", .any([n]))
        case 1: return ("\(n)L", .lastWeekday(n))
        case 2: return ("\(n)#2", .nth(n, 2))
        case 3: return ("FRI-MON", .any([5, 6, 0, 1]))
        case 4: return ("SUN", .any([0]))
        default: return ("*", .any(Set(0...6)))
        }
    }

    // MARK: Matching, from the words

    private func matches(_ rule: Days, _ date: CivilDate, isWeekday: Bool) -> Bool {
        let length = (28...31).last { CivilDate(year: date.year, month: date.month, day: $0) != nil }!
        func workday(_ n: Int) -> Int {
            let target = CivilDate(year: date.year, month: date.month, day: n)!.weekday
            if target == 6 { return n == 1 ? 3 : n - 1 }
            if target == 0 { return n == length ? n - 2 : n + 1 }
            return n
        }
        switch rule {
        case .any(let set): return set.contains(isWeekday ? date.weekday : date.day)
        case .last(let minus): return date.day == length - minus
        case .lastWorkday: return date.day == workday(length)
        case .workday(let n): return date.day == workday(n)
        case .lastWeekday(let n): return date.weekday == n && date.day > length - 7
        case .nth(let weekday, let n): return date.weekday == weekday && (date.day - 1) / 7 + 1 == n
        }
    }

    private func matchesDate(_ date: CivilDate) -> Bool {
        guard months.contains(date.month) else { return false }
        let (byDay, byWeekday) = (matches(day, date, isWeekday: false), matches(weekday, date, isWeekday: true))
        return either ? byDay || byWeekday : byDay && byWeekday
    }

    /// All fires after `start` and at or before `end`, both whole steps. `step` in seconds must divide every
    /// fire time and clock change in between.
    func fires(after start: Int64, upTo end: Int64, step: Int64, in zone: Zone) -> [Int64] {
        var dates: [Int64: Bool] = [:]
        func matches(_ local: Int64) -> Bool {
            let (dayNumber, time) = (local.floorDivide(86_400), Int(local.floorRemainder(86_400)))
            guard hours.contains(time / 3_600), minutes.contains(time / 60 % 60), seconds.contains(time % 60) else { return false }
            if let known = dates[dayNumber] { return known }
            let isMatch = matchesDate(CivilDate(daysSinceEpoch: dayNumber))
            dates[dayNumber] = isMatch
            return isMatch
        }
        var fires: [Int64] = []
        // Two days earlier, to know which local times have been shown before.
        var newest = Int64.min
        var before = start - 2 * 86_400
        var localBefore = before + Int64(zone.offset(at: Instant(seconds: before)))
        while before < end {
            let now = before + step
            let local = now + Int64(zone.offset(at: Instant(seconds: now)))
            newest = max(newest, localBefore)
            let isRepeated = local <= newest
            var isFire = matches(local) && (isInterval || !isRepeated)
            if local > localBefore + step, !isFire {
                let skipped = stride(from: localBefore + step, to: local, by: Int64.Stride(step)).filter(matches)
                isFire = isInterval ? skipped.contains { isOnlyFireOfDate($0, gap: localBefore + step..<local, step, matches) } : !skipped.isEmpty
            }
            if isFire, now > start { fires.append(now) }
            (before, localBefore) = (now, local)
        }
        return fires
    }

    private func isOnlyFireOfDate(_ local: Int64, gap: Range<Int64>, _ step: Int64, _ matches: (Int64) -> Bool) -> Bool {
        let midnight = local.floorDivide(86_400) * 86_400
        return !stride(from: midnight, to: midnight + 86_400, by: Int64.Stride(step)).contains { !gap.contains($0) && matches($0) }
    }
}
