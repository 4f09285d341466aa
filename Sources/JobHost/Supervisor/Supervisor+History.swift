import JobCore
import JobStore

// What other hosts' runs left: whichever host is asked, it shows all, and grades a job by all its runs.

extension Supervisor {
    /// Jobs whose history is read at one look; the others' turn comes at the next.
    private static let mostHistories = 200

    /// What status shows before anything has run in this life. Beside the serving: with
    /// thousands of jobs it takes its time.
    func restoreHistory() async {
        var names = generation.jobs.keys.sorted()[...]
        while !names.isEmpty {
            let some = Array(names.prefix(Self.mostHistories))
            names = names.dropFirst(some.count)
            guard let found = try? await store.newestRuns(of: some, each: RecentAttempts.limit) else { continue }
            for (name, runs) in found {
                guard let i = dispatcher.index[name], dispatcher.jobs[i].lastRun == nil else { continue }
                let ended = runs.filter { $0.outcome != nil }
                for run in ended.reversed() { dispatcher.jobs[i].recent.add(run) }
                dispatcher.jobs[i].lastRun = ended.first
            }
        }
    }

    /// With the counters that have just been read.
    func readHistoryOfOthers() async throws {
        let now = clock.now().monotonic
        for job in dispatcher.jobs where !job.isRemoved {
            if job.hear(ofAll: AttemptCount(counters[job.name] ?? [:]), now: now) { jobsHeardOf.insert(job.name) }
        }
        let names = Array(jobsHeardOf.sorted().prefix(Self.mostHistories))
        guard !names.isEmpty else { return }
        let found = try await store.newestRuns(of: names, each: RecentAttempts.limit)
        jobsHeardOf.subtract(names)
        for name in names {
            guard let i = dispatcher.index[name], dispatcher.jobs[i].learn(found[name] ?? []) else { continue }
            events.emit(.elsewhere(job: name, at: clock.now().wall))
        }
    }
}
