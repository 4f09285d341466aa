import JobCore
import JobStore

// Jobs that are gone for good leave their places to those that come: a host whose config is generated, with names that
// never return, would else keep all that it ever had. The places of others do not move: whoever knows a job by its
// place keeps it.
extension Dispatcher {
    /// Those of removed jobs of which nothing is left to be done. `coming`: as the next generation has them.
    mutating func vacate(except coming: [String: ResolvedJob]) {
        for i in jobs.indices where isDoneWith(i) && coming[jobs[i].name] == nil {
            index[jobs[i].name] = nil
            jobs[i].isVacant = true
            timeline.set(job: i, at: nil)
            for key in pools.keys { pools[key]?.queue.set(job: i, at: nil) }
            vacant.append(i)
        }
    }

    private func isDoneWith(_ i: Int) -> Bool {
        let job = jobs[i]
        guard job.isRemoved, !job.isVacant, job.active.isEmpty, !job.isAccounting, job.asked == nil else { return false }
        return isLeftToOthers(i) || job.settlingDue == nil && job.unrecorded == nil
    }

    mutating func place(_ job: DispatchedJob) {
        if let i = vacant.popLast() {
            jobs[i] = job
            index[job.name] = i
        } else {
            index[job.name] = jobs.count
            jobs.append(job)
        }
    }
}
