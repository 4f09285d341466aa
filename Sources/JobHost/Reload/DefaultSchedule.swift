import JobConfig
import JobCore

/// An entry's own schedule, in the words of the config: `every 10s`, `cron 0 * * * * *` (in
/// UTC), `none`.
enum DefaultSchedule {
    struct Fault: Error, Equatable, CustomStringConvertible {
        var description: String
    }

    static func parse(_ text: String) throws(Fault) -> ScheduleSpec {
        let parts = text.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        let rest = parts.count > 1 ? String(parts[1]) : ""
        switch parts.first {
        case "every":
            guard let interval = parseDuration(rest), interval >= Schedule.shortestInterval else {
                throw Fault(description: "'\(rest)' is not an interval of 1ms or more, as in \"every 10s\"")
            }
            return .every(interval, phase: .zero)
        case "cron":
            do {
                return .cron(try CronExpression(rest), timeZone: "UTC")
            } catch {
                throw Fault(description: "'\(rest)': \(error)")
            }
        case "none" where rest.isEmpty:
            return .none
        default:
            throw Fault(description: "'\(text)' is neither \"every …\" nor \"cron …\" nor \"none\"")
        }
    }
}
