/// Why an instant is, or is not, a fire time of a schedule.
public struct ScheduleExplanation: Hashable, Sendable {
    /// The rule has a fire at that instant. The calendar may still be closed.
    public var isFire: Bool
    /// The calendar is closed at that instant: a fire is recorded as skipped.
    public var isClosed: Bool
    /// For a person, in the order in which they answer: at least one.
    public var sentences: [String]
    /// The last fire before the instant and the first one after it; nil: none.
    public var previous: Instant?
    public var next: Instant?
}

/// Explains one instant. `zone` is the one that local times are shown in.
public func explain(
    schedule: Schedule, zone: Zone, calendar: (BusinessCalendar, Zone)?, at instant: Instant
) -> ScheduleExplanation {
    let before = instant - .microseconds(1)
    let isFire = schedule.next(after: before) == instant
    let previous = schedule.previous(atOrBefore: before)
    let next = schedule.next(after: instant)
    var sentences: [String]
    switch schedule.rule {
    case .cron(let expression, let zone):
        sentences = CronExplanation(expression, zone, instant).sentences(isFire: isFire)
    case .every(let interval, let phase):
        let start = "1970-01-01T00:00:00Z" + (phase == 0 ? "" : " + \(duration(phase))")
        sentences = ["\(instant.rfc3339) is \(isFire ? "" : "not ")a fire time of the interval: it fires every \(duration(interval)) counted from \(start)."]
    case .once(let fire): sentences = ["The schedule fires once, at \(fire.rfc3339)\(isFire ? "" : ", not at \(instant.rfc3339)")."]
    case .dependent(let spec): sentences = [dependence(spec)]
    }
    let closed = calendar.flatMap { $0.0.closedReason(at: instant, in: $0.1) }
    if let closed, let calendar {
        let local = calendar.1.civil(at: instant)
        sentences.append(
            "The calendar is closed at \(local) \(calendar.1.name): \(closed)"
                + (isFire ? "; the fire is recorded as skipped." : "."))
    }
    if previous != nil || next != nil {
        sentences.append("The fire before is \(describe(previous, zone)), the next is \(describe(next, zone)).")
    }
    return ScheduleExplanation(isFire: isFire, isClosed: closed != nil, sentences: sentences, previous: previous, next: next)
}

/// What a clock change did to a fire, as a remark beside it in a list; nil: nothing.
public func clockChangeRemark(schedule: Schedule, fire: Instant) -> String? {
    guard case .cron(let expression, let zone) = schedule.rule else { return nil }
    return CronExplanation(expression, zone, fire).remark
}

private func dependence(_ spec: ScheduleSpec) -> String {
    switch spec {
    case .afterFinish(let interval):
        "The job is due \(duration(interval.microseconds)) after its last run has ended, so no instant is a fire time by itself."
    case .adaptive(let shortest, let longest):
        "The job is due between \(duration(shortest.microseconds)) and \(duration(longest.microseconds)) after its last run has ended, "
            + "the sooner the more there was to do, so no instant is a fire time by itself."
    case .after(let job): "The job has no fire times: it runs when a run of \(job) has succeeded."
    default: "The job has no fire times: it runs by hand or when a run is enqueued."
    }
}

private func describe(_ fire: Instant?, _ zone: Zone) -> String {
    guard let fire else { return "none" }
    return zone == .utc ? fire.rfc3339 : "\(fire.rfc3339) (\(zone.civil(at: fire)) \(zone.abbreviation(at: fire)))"
}

/// `10s`, `90m`, `1500ms`: the largest unit that needs no fraction.
private func duration(_ microseconds: Int64) -> String {
    let units: [(Int64, String)] = [
        (86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms"),
    ]
    let unit = units.first { microseconds % $0.0 == 0 } ?? (1, "us")
    return "\(microseconds / unit.0)\(unit.1)"
}

private struct CronExplanation {
    let expression: CronExpression
    let zone: Zone
    let instant: Instant
    private let span: ZoneSpan
    private let civil: CivilTime
    private let passes: Zone.LocalInstants

    init(_ expression: CronExpression, _ zone: Zone, _ instant: Instant) {
        self.expression = expression
        self.zone = zone
        self.instant = instant
        span = zone.span(at: instant.secondsFloor)
        civil = zone.civil(at: instant)
        passes = zone.instants(of: civil)
    }

    func sentences(isFire: Bool) -> [String] {
        let local = "\(civil) \(zone.abbreviation(at: instant)) in \(zone.name)"
        guard !isFire else {
            let opening = "\(instant.rfc3339) is a fire time of \"\(expression.text)\": it is \(local)."
            return [opening] + (gapSentence ?? repeatSentence(isFire: true))
        }
        let opening = "\(instant.rfc3339) is not a fire time of \"\(expression.text)\": "
        if instant.microseconds.floorRemainder(1_000_000) != 0 { return [opening + "fire times are whole seconds."] }
        if expression.matches(local: civil.localSeconds) {
            return [opening + "it is \(local)."] + repeatSentence(isFire: false)
        }
        return [opening + "it is \(local), and \(mismatches.joined(separator: ", and "))."] + lostSentence
    }

    var remark: String? {
        if isGapFire { return "moved to the end of the gap in local time" }
        guard case .twice(let first, _) = passes else { return nil }
        return instant == first ? "first pass of a repeated local time" : "second pass of a repeated local time"
    }

    // MARK: Clock changes

    private var isAtGapEnd: Bool { span.shift > 0 && instant == Instant(seconds: span.start) }
    private var isGapFire: Bool {
        isAtGapEnd && expression.firesAtGapEnd(span) && !expression.matches(local: civil.localSeconds)
    }

    private var gapBounds: (start: Int64, end: Int64) {
        (span.start + span.offset - span.shift, span.start + span.offset)
    }

    private var gapSentence: [String]? {
        let (start, end) = gapBounds
        guard isGapFire, let lost = expression.firstMatch(from: start, before: end) else { return nil }
        let rule =
            expression.isInterval
            ? "all its times of that day were left out, so it fires once, at the end of the gap"
            : "a fixed time that is left out fires once, at the end of the gap"
        let change = "from \(CivilTime(localSeconds: start)) to \(CivilTime(localSeconds: end))"
        return ["The clock went forward \(change); \(CivilTime(localSeconds: lost)) did not exist: \(rule)."]
    }

    private var lostSentence: [String] {
        guard isAtGapEnd else { return [] }
        let (start, end) = gapBounds
        guard expression.isInterval, let lost = expression.firstMatch(from: start, before: end) else { return [] }
        let left = "The clock went forward here and left out \(CivilTime(localSeconds: lost))"
        return ["\(left); what it leaves out of an interval is not made up for."]
    }

    private func repeatSentence(isFire: Bool) -> [String] {
        guard case .twice(let first, let last) = passes else { return [] }
        let pass = instant == first ? "first" : "second"
        let rule =
            expression.isInterval
            ? "an interval fires both times"
            : "a fixed time fires the first time only" + (isFire ? "" : ", at \(first.rfc3339)")
        let twice = "The clock went back and showed this time twice, at \(first.rfc3339) and \(last.rfc3339)"
        return ["\(twice); this is the \(pass): \(rule)."]
    }

    // MARK: Fields

    private var mismatches: [String] {
        var parts: [String] = []
        func check(_ field: CronField, _ bits: UInt64, _ value: Int) {
            if bits >> UInt64(value) & 1 == 0 { parts.append("the \(field.name) is \(value), allowed is \(written(field))") }
        }
        check(.month, UInt64(expression.months), civil.date.month)
        parts += dayMismatch
        check(.hour, UInt64(expression.hours), civil.hour)
        check(.minute, expression.minutes, civil.minute)
        check(.second, expression.seconds, civil.second)
        return parts
    }

    private func written(_ field: CronField) -> String { expression.written[field] ?? "*" }

    private var dayMismatch: [String] {
        let date = civil.date
        let length = Gregorian.daysInMonth(date.month, leap: Gregorian.isLeap(Int64(date.year)))
        let first = (date.weekday + 35 - (date.day - 1)) % 7
        let byDay = expression.days.maskByDay(firstWeekday: first, length: length) >> date.day & 1 == 1
        let byWeekday = expression.days.maskByWeekday(firstWeekday: first, length: length) >> date.day & 1 == 1
        let day = "the day-of-month is \(date.day), allowed is \(written(.dayOfMonth))"
        let weekday = "the day-of-week is \(CronField.dayOfWeek.names[date.weekday]), allowed is \(written(.dayOfWeek))"
        if expression.days.either {
            return byDay || byWeekday ? [] : ["\(day), and \(weekday) (one of the two would do)"]
        }
        return (byDay ? [] : [day]) + (byWeekday ? [] : [weekday])
    }
}
