import JobConfig
import JobCore
import JobStore

@testable import JobHost

/// What is always so, and that every job goes on.
extension SimulatedWorld {
    mutating func checkState() {
        var busy: [String: Int] = [:], promised: [String: Int] = [:], askedFor: [String: Int] = [:]
        var owned = 0
        for i in dispatcher.jobs.indices {
            var probes = 0
            let breaker = dispatcher.jobs[i].breaker
            for (run, active) in dispatcher.jobs[i].active {
                owned += 1
                if dispatcher.owners[run] != i { faults.append("run \(run) has another owner") }
                if active.isSentAhead != dispatcher.jobs[i].sentAhead.contains(run) { faults.append("run \(run) is sent ahead, or is not") }
                if active.isSentAhead, sent[run] == nil, room[run] == nil { faults.append("run \(run) was sent ahead, and nobody has it") }
                if active.isHeld || active.isSentAhead { promised[active.pool, default: 0] += 1 } else { busy[active.pool, default: 0] += 1 }
                if let breaker, active.permit == .granted(generation: breaker.generation, isProbe: true) { probes += 1 }
            }
            if let claiming = dispatcher.jobs[i].claiming { promised[claiming.pool, default: 0] += claiming.fires }
            if let asked = dispatcher.jobs[i].asked { askedFor[asked.pool, default: 0] += asked.runs }
            checkBreaker(dispatcher.jobs[i].name)
            guard let breaker, breaker.mode == .halfOpen else { continue }
            if probes > 1 { faults.append("\(dispatcher.jobs[i].name): \(probes) probes at a time") }
            if probes == 0, !breaker.peek(now: now.wall) { faults.append("\(dispatcher.jobs[i].name): the probe's permit is lost") }
        }
        if owned != dispatcher.owners.count { faults.append("an ended run has an owner") }
        for (key, load) in dispatcher.pools {
            let counts = [load.busy, load.promised, load.asked]
            if counts != [busy[key] ?? 0, promised[key] ?? 0, askedFor[key] ?? 0] {
                faults.append("pool \(key) counts \(counts) busy, promised and asked for: wrong")
            }
        }
    }

    func state(of job: String) -> String {
        guard let i = dispatcher.index[job] else { return "unknown" }
        let job = dispatcher.jobs[i]
        return "accounting \(job.isAccounting), stored '\(job.storedText ?? "nothing")', cursor \(job.schedule.cursor.rfc3339), "
            + "next \(job.schedule.nextFire()?.rfc3339 ?? "none"), \(job.submitted) submitted, \(job.held.count) held, "
            + "\(job.waitingFires.count) waiting, asked \(job.asked.map { "\($0)" } ?? "nothing"), removed \(job.isRemoved)"
    }

    mutating func checkProgress(_ job: String, _ config: JobConfig) {
        guard let cursor = store.states[job]?.cursor else { return faults.append("\(job) has no cursor") }
        let schedule = Schedule(spec: config.schedule!, zone: .utc)
        let due: Instant?
        switch config.schedule! {
        // After its run's end, which may lie ahead of a clock that was set back.
        case .afterFinish, .adaptive:
            let dispatched = dispatcher.index[job].map { dispatcher.jobs[$0] }
            due = dispatched?.schedule.nextFire() ?? (dispatched?.active.isEmpty == true ? .distantPast : nil)
        // An edit that lies ahead of a clock that was set back is waited for.
        default: due = schedule.next(after: max(cursor, store.eras[job]?.last?.after ?? cursor))
        }
        if let due, due < now.wall - .seconds(3) {
            faults.append("\(job) (\(config.schedule!.text)) does not go on: \(due.rfc3339) is due, the next wake-up is \(wakeAt?.rfc3339 ?? "never"), \(state(of: job))")
        }
        // A job that was set right is settled in the store too.
        guard store.eras[job]?.last.map({ $0.after < now.wall }) == true else { return }
        if store.states[job]?.scheduleText != config.schedule!.text { faults.append("\(job): the store still has the rule '\(store.states[job]!.scheduleText)'") }
    }

    /// The breaker is where the rules put it.
    mutating func checkBreaker(_ job: String) {
        guard let i = dispatcher.index[job], let mode = dispatcher.jobs[i].breaker?.mode, let model = breakers[job] else { return }
        if BreakerModel.word(mode) != model.word { faults.append("the breaker of \(job) is \(BreakerModel.word(mode)), and ought to be \(model.word)") }
    }

    /// The ledger alone: each due time in one entry, and what succeeded was executed.
    mutating func checkEntries() {
        var fires: [String: Set<Instant>] = [:]
        for (id, row) in store.rows.sorted(by: { $0.key < $1.key }) {
            if row.state == .succeeded, effects[id, default: 0] == 0 { faults.append("run \(id) of \(row.job) succeeded and was never executed") }
            guard row.isFire, !store.rewound.contains(row.job) else { continue }
            if !fires[row.job, default: []].insert(row.fireTime).inserted { faults.append("\(row.job) has two runs for \(row.fireTime.rfc3339)") }
        }
        for (job, ranges) in store.ranges.sorted(by: { $0.key < $1.key }) where !store.rewound.contains(job) {
            let inOrder = ranges.sorted { $0.first < $1.first }
            for (range, next) in zip(inOrder, inOrder.dropFirst()) where next.first <= range.last {
                faults.append("ranges of \(job) overlap at \(next.first.rfc3339)")
            }
            let times = fires[job, default: []].sorted()
            for range in inOrder {
                if let inside = times.first(where: { $0 >= range.first }), inside <= range.last {
                    faults.append("a run of \(job) for \(inside.rfc3339) lies inside a range")
                }
            }
        }
    }
}
