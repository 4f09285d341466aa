import JobCore

/// `jobhost queue`: what waits, for how long, how fast it is done, what died.
struct QueueView {
    let screen: Screen

    func lines(_ counters: API.Counters, job: String?) -> [Styled] {
        let rows = counters.jobs.filter { job == nil ? $0.hasQueue : $0.job == job }
        guard !rows.isEmpty else { return screen.wrapped("Nothing waits, and there are no dead letters.") }
        var table = Table([
            .init("JOB", yields: [.shrink(1, to: 12)]), .init("WAITING", alignsRight: true), .init("OLDEST", alignsRight: true),
            .init("RUNNING", alignsRight: true), .init("ENDED IN 1m", alignsRight: true, yields: [.drop(2)]),
            .init("DEAD", alignsRight: true),
        ])
        for row in rows {
            table.add([
                Styled(row.job, .bold), Styled("\(row.waiting)"),
                Styled(row.oldestWaiting.map { TimeText.relative($0, now: screen.now) } ?? "–"),
                Styled("\(row.running)"), Styled("\(row.endedLastMinute)"),
                Styled("\(row.dead)", row.dead > 0 ? .bad : .plain),
            ])
        }
        let dead = rows.contains { $0.dead > 0 } ? [Styled("dead letters: jobhost dead list" + (job.map { " \($0)" } ?? ""), .dim)] : []
        return table.lines(width: screen.width) + dead
    }
}

extension API.JobCounters {
    var hasQueue: Bool { waiting > 0 || running > 0 || dead > 0 || endedLastMinute > 0 }
}
