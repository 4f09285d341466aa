import JobCore

/// Since when the host has each of its problems, however their sentences change meanwhile. Pure.
struct ProblemTimes {
    private struct Key: Hashable {
        var kind: HostProblem.Kind
        var subject: String
    }
    private var since: [Key: Instant] = [:]

    /// The same ones with their `since`: what they bring along, else when they were seen first. What is not among them
    /// is over, and begins anew when it comes back.
    mutating func dated(_ problems: [HostProblem], now: Instant) -> [HostProblem] {
        let known = since
        since = [:]
        return problems.map { problem in
            var problem = problem
            let key = Key(kind: problem.kind, subject: problem.subject)
            // Never later than now: the wall clock may have been set back.
            let first = problem.since ?? min(since[key] ?? known[key] ?? now, now)
            since[key] = first
            problem.since = first
            return problem
        }
    }
}
