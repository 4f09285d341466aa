import JobCore

/// When a rule is due, by plain arithmetic and without the code that the host has for it: what its ledger is held to.
enum DueTimesModel {
    /// Due times after `from` up to `to`, in order; nil: they depend on runs, or there are more than anybody counts.
    static func times(of spec: ScheduleSpec, after from: Instant, upTo to: Instant) -> [Instant]? {
        switch spec {
        case .afterFinish, .adaptive: nil
        case .none, .after: []
        case .once(let instant): from < instant && instant <= to ? [instant] : []
        case .every(let interval, let phase): steps(of: interval.microseconds, from: phase.microseconds, after: from, upTo: to)
        case .cron(let expression, _): cron(expression.text, after: from, upTo: to)
        }
    }

    private static func steps(of step: Int64, from phase: Int64, after: Instant, upTo: Instant) -> [Instant]? {
        var at = after.microseconds - (after.microseconds - phase) % step
        while at <= after.microseconds { at += step }
        guard (upTo.microseconds - at) / step < 25_000 else { return nil }
        var times: [Instant] = []
        while at <= upTo.microseconds {
            times.append(Instant(microseconds: at))
            at += step
        }
        return times
    }

    /// Of the few shapes that simulations use, in UTC: `*/N * * * * *`, `*/N * * * *` and `M H * * *`.
    private static func cron(_ text: String, after: Instant, upTo: Instant) -> [Instant]? {
        let fields = text.split(separator: " ")
        let second: Int64 = 1_000_000
        if let number = fields[0].split(separator: "/").last.flatMap({ Int64($0) }), fields[0].hasPrefix("*/") {
            return steps(of: number * (fields.count == 6 ? second : 60 * second), from: 0, after: after, upTo: upTo)
        }
        guard let minute = Int64(fields[0]), let hour = Int64(fields[1]) else { preconditionFailure("no model of '\(text)'") }
        return steps(of: 86_400 * second, from: (hour * 60 + minute) * 60 * second, after: after, upTo: upTo)
    }
}
