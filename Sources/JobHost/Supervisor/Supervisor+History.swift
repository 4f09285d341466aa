import JobCore
import JobStore

// What other hosts' runs left: whichever host is asked, it shows all, and grades a job by all its runs.

extension Supervisor {
    /// Jobs whose history is read at one look; the others' turn comes at the next.
    private static let mostHistories = 200

    /// With the counters that have just been read.
    func readHistoryOfOthers() async throws {
        let now = clock.now().monotonic
        for job in dispatcher.jobs where !job.isRemoved {
            if job.hear(ofAll: AttemptCount(counters[job.name] ?? [:]), now: now) { jobsHeardOf.insert(job.name) }
        }
        for name in jobsHeardOf.sorted().prefix(Self.mostHistories) {
            var filter = RunFilter(job: name)
            filter.limit = RecentAttempts.limit
            let runs = try await store.runs(filter)
            jobsHeardOf.remove(name)
            guard let i = dispatcher.index[name], dispatcher.jobs[i].learn(runs) else { continue }
            events.emit(.elsewhere(job: name, at: clock.now().wall))
        }
    }
}
