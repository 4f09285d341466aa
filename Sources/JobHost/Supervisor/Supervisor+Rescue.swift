import JobConfig
import JobCore
import JobStore

// Runs that nobody has: of earlier lives of this host, and of hosts of its store that died. Whoever takes note of their
// end tells it as it tells every other end: there is nobody else to hear it from.

extension Supervisor {
    private typealias LostRun = (run: RunRecord, completion: Completion)

    /// Runs of this host's earlier lives are nobody's now: the lock proves it. Those claimed for
    /// an instant still to come are given back, as are those that had not begun; the others are
    /// lost, and retried by rule.
    func rescue(_ proof: SlateProof, _ isSucceedingItself: Bool) async throws {
        let now = clock.now().wall
        let orphans = try await store.orphans(host: owner.host, currentEpoch: owner.epoch)
        var ends: [LostRun] = []
        var releases: [RunRecord] = []
        for run in orphans {
            // Of a life elsewhere nothing is proved: heartbeat and slates are those of this state folder.
            let isOwn = isSucceedingItself && (run.owner == owner.host || !store.isShared)
            let isUnbegun = proof.provesUnbegun(fence: run.fence, epoch: run.epoch)
            if isOwn, Rescue.givesBack(run, isUnseen: heartbeat.provesUnseen(fire: run.fireTime), isUnbegun: isUnbegun, now: now) {
                releases.append(run)
                continue
            }
            ends.append((run, lost(run, "the host died while it ran")))
        }
        ends = try await record(ends, now)
        if !releases.isEmpty {
            let lives = Dictionary(grouping: releases) { Owner(host: $0.owner, epoch: $0.epoch) }
            for (owner, runs) in lives {
                try await store.releaseClaims(
                    runs.map { HeldClaim(run: $0.id, job: $0.job, fence: $0.fence) }, owner: owner, now: now)
            }
        }
        if !orphans.isEmpty {
            let retried = ends.count { !$0.completion.state.isTerminal }
            log.warning(
                "rescue: \(ends.count) runs of an earlier life were lost (\(retried) will be tried again), \(releases.count) claims given back")
        }
        // The outlet keeps it until somebody listens.
        for (run, completion) in ends { tell(run, lostBy: completion) }
    }

    /// Runs of hosts whose lease has ended are lost, and tried again by rule. Every host looks; whoever
    /// is first has done it, by the fence.
    func rescueAbandoned() {
        guard phase != .draining, lease.mayRescue(now: clock.now().monotonic) else { return }
        inquire(.abandoned) { try await $0.rescueAbandonedNow() }
    }

    private func rescueAbandonedNow() async throws {
        let runs = try await store.abandonedRuns(seenBy: owner)
        guard !runs.isEmpty else { return }
        // A job that is not known here is left to a host that knows it.
        let served = Set(try await store.definitions().map(\.job))
        let mine = runs.filter { generation.jobs[$0.job] != nil || !served.contains($0.job) }
        let ends = try await record(mine.map { ($0, lost($0, "its host \($0.owner) died or lost its lease while it ran")) }, clock.now().wall)
        guard !ends.isEmpty else { return }
        let retried = ends.count { !$0.completion.state.isTerminal }
        let hosts = Set(ends.map(\.run.owner)).sorted().joined(separator: ", ")
        log.warning("rescue: \(counted(ends.count, "run")) of \(hosts), whose lease has ended, \(ends.count == 1 ? "was" : "were") lost (\(retried) will be tried again)")
        for (run, completion) in ends {
            if let due = completion.availableAt { dispatch(.waiting(job: run.job, due: due)) }
            tell(run, lostBy: completion)
        }
    }

    /// → Those that nobody else has ended before.
    private func record(_ ends: [LostRun], _ now: Instant) async throws -> [LostRun] {
        guard !ends.isEmpty else { return [] }
        let results = try await store.completeEach(ends.map(\.completion), now: now)
        return zip(ends, results).compactMap { end, result in
            if case .failure(let error) = result {
                log.error("rescue: run \(end.run.id) of \(end.run.job) cannot be recorded as lost: \(error)", metadata: ["said.job": "\(end.run.job)", "said.run": "\(end.run.id)"])
                // Nobody else looks for a run of this host's own name; those of others are found again by the next look.
                if end.run.owner == owner.host { self.record([.complete(job: end.run.job, end.completion)]) }
            }
            return (try? result.get()) == true ? end : nil
        }
    }

    private func lost(_ run: RunRecord, _ reason: String) -> Completion {
        let (job, refused) = (generation.jobs[run.job], generation.refused[run.job])
        return Rescue.lost(
            run, reason, isIdempotent: job?.entry.idempotent ?? refused?.isIdempotent,
            policy: job?.config.retry ?? refused?.config.retry ?? RetryPolicy(), now: clock.now().wall)
    }

    /// In the log, to views and alerts.
    private func tell(_ run: RunRecord, lostBy completion: Completion) {
        var end = run
        (end.state, end.outcome, end.finishedAt, end.reason) = (completion.state, completion.outcome, completion.finishedAt, completion.reason)
        if let due = completion.availableAt { end.availableAt = due }
        // As of other ends: whoever wants it asks for the run.
        end.payload = ""
        write(DispatchNote(
            kind: .ended(completion.outcome, completion.state), job: run.job, run: run.id, text: completion.reason, record: Shared(end)))
    }
}
