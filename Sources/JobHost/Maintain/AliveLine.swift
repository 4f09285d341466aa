import JobConfig
import JobCore

/// The line by which the log says regularly that the host is alive (`[host] heartbeat`): what there is, and what ended
/// since the line before. Pure.
struct AliveLine {
    /// As it is armed; nil: never.
    var period: Duration?
    /// What had ended when the line was last said, or the host began.
    private var last: (ended: AttemptCount, at: MonotonicInstant)

    init(ended: AttemptCount, now: MonotonicInstant) { last = (ended, now) }

    struct Status {
        var jobs: Int
        var running: Int
        var waiting: Int64
        var generation: Int64
        var problems: [String]
    }

    /// - Parameter ended: attempts of all jobs, ever, as the store counts them: on all hosts.
    mutating func text(_ status: Status, ended: AttemptCount, now: MonotonicInstant) -> String {
        var text = "alive: \(counted(status.jobs, "job")), \(status.running) running, \(status.waiting) waiting, generation \(status.generation)"
        // A count may go back: whoever forgets a job forgets its counters.
        let (count, failed) = (max(0, ended.ended - last.ended.ended), max(0, ended.failed - last.ended.failed))
        let seconds = Duration.seconds(((now - last.at).microseconds + 500_000) / 1_000_000)
        text += "; in \(durationText(seconds)) \(counted(count, "attempt")) ended" + (failed > 0 ? ", \(failed) of them as failures" : "")
        last = (ended, now)
        if let first = status.problems.first {
            text += "; \(first)" + (status.problems.count > 1 ? " (and \(status.problems.count - 1) more)" : "")
        }
        return text
    }
}
