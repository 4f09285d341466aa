import JobCore

/// `jobhost queue`: what waits, when it will be empty, for how long, how fast it is done, what died.
struct QueueView {
    let screen: Screen

    /// `status`: what may hold back what waits; nil where nothing waits.
    func lines(_ counters: API.Counters, status: API.Status?, job: String?) -> [Styled] {
        let rows = counters.jobs.filter { job == nil ? $0.hasQueue : $0.job == job }
        guard !rows.isEmpty else { return screen.wrapped("Nothing waits, and there are no dead letters.") }
        var table = Table([
            .init("JOB", yields: [.shrink(1, to: 12)]), .init("WAITING", alignsRight: true), .init("EMPTY IN", alignsRight: true),
            .init("OLDEST", alignsRight: true, yields: [.drop(3)]),
            .init("RUNNING", alignsRight: true), .init("ENDED IN 1m", alignsRight: true, yields: [.drop(2)]),
            .init("DEAD", alignsRight: true),
        ])
        for row in rows {
            table.add([
                Styled(row.job, .bold), Styled("\(row.waiting)"), emptyIn(row, status),
                Styled(row.oldestWaiting.map { TimeText.relative($0, now: screen.now) } ?? "–"),
                Styled("\(row.running)"), Styled("\(row.endedLastMinute)"),
                Styled("\(row.dead)", row.dead > 0 ? .bad : .plain),
            ])
        }
        let dead = rows.contains { $0.dead > 0 } ? [Styled("dead letters: jobhost dead list" + (job.map { " \($0)" } ?? ""), .dim)] : []
        return table.lines(width: screen.width) + dead
    }

    /// What holds it back comes first: what was done before that says nothing of what is to come. What is to run later
    /// waits for its time, not for its turn.
    private func emptyIn(_ row: API.JobCounters, _ status: API.Status?) -> Styled {
        guard row.waiting > 0 else { return Styled("–") }
        if let held = status?.holdingBack(row.job) { return Styled(held, .bad) }
        guard row.due > 0 else { return Styled("–") }
        if row.endedLastMinute == 0, let oldest = row.oldestWaiting, screen.now - oldest > .seconds(60) {
            return Styled("stands still", .bad)
        }
        switch row.shrinksPerMinute {
        case let shrinks? where shrinks > 0: return Styled("about " + TimeText.span(Int64(row.due) * 60_000_000 / shrinks))
        case let shrinks? where shrinks < 0: return Styled("grows", .warn)
        case 0? where row.endedLastMinute > 0: return Styled("stays as long", .warn)
        default: return Styled("–")
        }
    }
}

extension API.JobCounters {
    var hasQueue: Bool { waiting > 0 || running > 0 || dead > 0 || endedLastMinute > 0 }
}

extension API.Status {
    /// Why what waits of a job is not begun; nil: nothing holds it back.
    fileprivate func holdingBack(_ name: String) -> String? {
        guard let job = jobs.first(where: { $0.name == name }) else { return nil }
        if !job.refused.isEmpty { return "refused" }
        if !job.enabled { return "off" }
        if job.control.paused || host.control.paused { return "paused" }
        return ["open", "forced_open"].contains(job.breaker.state) ? "breaker open" : nil
    }
}
