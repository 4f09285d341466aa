import JobConfig
import JobCore

/// A job's schedule in the words of the config, for people.
enum ScheduleText {
    static func describe(_ plan: ResolvedJob) -> String { describe(plan.schedule) }

    static func describe(_ schedule: ScheduleSpec) -> String {
        switch schedule {
        case .cron(let expression, let zone):
            return "cron \(expression.text)" + (zone == "UTC" ? "" : " (\(zone))")
        case .every(let interval, let phase):
            return "every \(durationText(interval))" + (phase == .zero ? "" : ", phase \(durationText(phase))")
        case .afterFinish(let interval): return "\(durationText(interval)) after finish"
        case .adaptive(let min, let max): return "adaptive \(durationText(min)) … \(durationText(max))"
        case .once(let instant): return "at \(instant.rfc3339)"
        case .after(let job): return "after \(job)"
        case .none: return "enqueued only"
        }
    }
}
