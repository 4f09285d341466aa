import JobConfig
import JobCore

/// Times and durations as people say them.
enum TimeText {
    /// "12s ago", "in 4s", "now".
    static func relative(_ instant: Instant, now: Instant) -> String {
        let microseconds = (instant - now).microseconds
        if microseconds.magnitude < 1_000_000 { return "now" }
        return microseconds < 0 ? "\(span(microseconds)) ago" : "in \(span(microseconds))"
    }

    /// Whole seconds and above: "12s", "1m 24s", "12m", "3h 5m", "20h", "2d 4h", "15d". The
    /// second unit only where it says something: below 10 of the first.
    static func span(_ microseconds: Int64) -> String {
        let seconds = microseconds.magnitude / 1_000_000
        let units: [(UInt64, String)] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")]
        for (index, unit) in units.enumerated() where seconds >= unit.0 {
            let count = seconds / unit.0
            let first = "\(count)\(unit.1)"
            guard count < 10, index + 1 < units.count else { return first }
            let second = seconds % unit.0 / units[index + 1].0
            return second == 0 ? first : "\(first) \(second)\(units[index + 1].1)"
        }
        return "0s"
    }

    /// Of a run: "<0.1ms", "0.4ms", "35ms", "1.2s", "42s", "3m 5s".
    static func took(_ microseconds: Int64) -> String {
        let value = microseconds.magnitude
        if value < 100 { return "<0.1ms" }
        if value < 10_000 { return "\(value / 1_000).\(value % 1_000 / 100)ms" }
        if value < 1_000_000 { return "\(value / 1_000)ms" }
        if value < 10_000_000 { return "\(value / 1_000_000).\(value % 1_000_000 / 100_000)s" }
        return span(microseconds)
    }

    /// "2026-05-04 10:00:07Z".
    static func absolute(_ instant: Instant) -> String {
        let text = Instant(seconds: instant.secondsFloor).rfc3339
        return text.count == 20 ? text.prefix(10) + " " + text.suffix(9) : text
    }

    /// "2026-05-04 10:00:07Z", "2026-05-04 10:00:07Z … 10:20:07Z", "2026-05-04 10:00:07Z … 2026-05-06 10:00:07Z".
    static func span(from first: Instant, to last: Instant) -> String {
        let (start, end) = (absolute(first), absolute(last))
        if start == end { return start }
        let isOneDay = start.count == 20 && start.prefix(11) == end.prefix(11)
        return "\(start) … \(isOneDay ? String(end.dropFirst(11)) : end)"
    }

    /// "2026-05-04 12:00:07 CEST".
    static func local(_ instant: Instant, _ zone: Zone) -> String {
        let text = absolute(instant + .seconds(zone.offset(at: instant)))
        return text.dropLast() + " " + zone.abbreviation(at: instant)
    }

    /// "10:00:07.120", UTC: for log lines.
    static func clock(_ instant: Instant) -> String {
        let text = Instant(seconds: instant.secondsFloor).rfc3339
        guard text.count == 20 else { return text }
        let milliseconds = String(instant.milliseconds.floorRemainder(1_000))
        return text.dropFirst(11).prefix(8) + "." + String(repeating: "0", count: 3 - milliseconds.count) + milliseconds
    }
}

/// An instant as an argument says it.
enum TimeArgument {
    /// RFC 3339; a date or date and time without offset, taken as UTC; "now"; "2h ago"; "in 5m";
    /// "+5m". nil: none of these. Relative ones count from the whole second, as people do.
    static func instant(_ text: String, now exact: Instant) -> Instant? {
        let text = text.trimmed
        let now = Instant(seconds: exact.secondsFloor)
        if text == "now" { return now }
        if let instant = Instant(rfc3339: text) ?? Instant(rfc3339: text + "Z") ?? Instant(rfc3339: text + ":00Z")
            ?? Instant(rfc3339: text + "T00:00:00Z") {
            return instant
        }
        if text.hasSuffix("ago"), let back = parseDuration(String(text.dropLast(3)).trimmed) { return now - back }
        if text.hasPrefix("in "), let ahead = parseDuration(String(text.dropFirst(3)).trimmed) { return now + ahead }
        if text.hasPrefix("+"), let ahead = parseDuration(String(text.dropFirst())) { return now + ahead }
        return nil
    }

    static let forms = "2027-01-01T00:00:00Z, 2027-01-01, \"2h ago\", \"in 5m\" or now"
}

extension String {
    fileprivate var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
