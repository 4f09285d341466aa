// A cron expression on the clock of a zone: the rules for clock changes.
//
// Time is walked in spans of one offset. Within a span the local clock runs evenly, so matches
// are found by arithmetic; the rules only speak about where two spans meet.
//
// 1. Fixed times that a clock change skips fire once, at its end.
// 2. Interval times that it skips are not made up for,
// 3. unless that leaves a day without any fire: then once, at its end.
// 4. Fixed times that a clock change repeats fire the first time only.
// 5. Interval times that it repeats fire both times.

extension CronExpression {
    private static let searchSeconds: Int64 = 42 * 366 * 86_400
    private static let lastSecond: Int64 = Int64.max / 1_000_000

    /// The first fire after `instant`; always later than it. nil: past the end of `Instant`.
    public func next(after instant: Instant, in zone: Zone) -> Instant? {
        guard let second = firstFire(from: instant.secondsFloor + 1, in: zone), second <= Self.lastSecond else { return nil }
        return Instant(seconds: second)
    }

    /// The last fire at or before `instant`. nil: before the beginning of `Instant`.
    public func previous(atOrBefore instant: Instant, in zone: Zone) -> Instant? {
        guard let second = lastFire(through: instant.secondsFloor, in: zone), second >= -Self.lastSecond else { return nil }
        return Instant(seconds: second)
    }

    /// How many fires lie after `start` and at or before `end`, exactly. The cost grows with the
    /// clock changes and years between, not with the fires.
    public func count(after start: Instant, upTo end: Instant, in zone: Zone) -> Int64 {
        var from = start.secondsFloor + 1
        let until = end.secondsFloor + 1
        var count: Int64 = 0
        while from < until {
            let span = zone.span(at: from)
            let spanEnd = min(until, span.end)
            let begin = max(from, firstCounted(of: span))
            if from == span.start, firesAtGapEnd(span), !matches(local: from + span.offset) { count += 1 }
            if begin < spanEnd { count += matches(from: begin + span.offset, before: spanEnd + span.offset) }
            from = spanEnd
        }
        return count
    }

    private func firstFire(from second: Int64, in zone: Zone) -> Int64? {
        var from = second
        while true {
            let span = zone.span(at: from)
            if from == span.start, firesAtGapEnd(span) { return from }
            let begin = max(from, firstCounted(of: span)) + span.offset
            if let match = firstMatch(from: begin, before: span.end.saturatingAdd(span.end == .max ? 0 : span.offset)) {
                return match - span.offset
            }
            guard span.end - Self.searchSeconds < second else { return nil }
            from = span.end
        }
    }

    private func lastFire(through second: Int64, in zone: Zone) -> Int64? {
        var until = second + 1
        while true {
            let span = zone.span(at: until - 1)
            let begin = span.start == .min ? .min : firstCounted(of: span) + span.offset
            if let match = lastMatch(before: until + span.offset, from: begin) { return match - span.offset }
            if firesAtGapEnd(span) { return span.start }
            guard span.start != .min, span.start > second - Self.searchSeconds else { return nil }
            until = span.start
        }
    }

    /// Where matches of a span begin to count: fixed times not before its repeated part is over.
    private func firstCounted(of span: ZoneSpan) -> Int64 {
        isInterval || span.shift >= 0 ? span.start : span.start - span.shift
    }

    /// Whether a fire falls on the end of the gap that a span starts with, in place of skipped ones.
    func firesAtGapEnd(_ span: ZoneSpan) -> Bool {
        guard span.shift > 0 else { return false }
        let gapEnd = span.start + span.offset
        let gapStart = gapEnd - span.shift
        guard var skipped = firstMatch(from: gapStart, before: gapEnd) else { return false }
        if !isInterval { return true }
        // Gaps have spanned midnight, and even a whole day: the rule is about each date for itself.
        while true {
            let midnight = skipped.floorDivide(86_400) * 86_400
            let isOnlyFire =
                firstMatch(from: midnight, before: min(gapStart, midnight + 86_400)) == nil
                && firstMatch(from: max(gapEnd, midnight), before: midnight + 86_400) == nil
            if isOnlyFire { return true }
            guard let next = firstMatch(from: midnight + 86_400, before: gapEnd) else { return false }
            skipped = next
        }
    }

    func matches(local: Int64) -> Bool { firstMatch(from: local, before: local + 1) != nil }
}
