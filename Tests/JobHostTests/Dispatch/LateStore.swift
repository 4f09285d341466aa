import JobCore
import JobStore
import Synchronization

/// A store that does what it is asked, and may keep single answers (to a transaction of a cursor, the question for
/// waiting runs, a renewal of leases) to itself until the test lets them go.
final class LateStore: Store {
    enum Question { case cursor, waiting, lease }
    private let base: any Store
    private struct State {
        var swallowing: Question?
        var swallowed: [CheckedContinuation<Void, Never>] = []
        var renewals = 0
    }
    private let state = Mutex(State())

    init(_ base: any Store) { self.base = base }

    /// The answer to the next one of the kind.
    func swallowNext(_ question: Question) { state.withLock { $0.swallowing = question } }
    /// Answers that are being kept.
    var swallowed: Int { state.withLock { $0.swallowed.count } }
    /// How often leases were to be renewed.
    var renewals: Int { state.withLock { $0.renewals } }
    /// The oldest `most` of them.
    func letGo(_ most: Int = .max) {
        let answers = state.withLock { state in
            let answers = state.swallowed.prefix(most)
            state.swallowed.removeFirst(answers.count)
            return answers
        }
        for answer in answers { answer.resume() }
    }

    private func late<Answer: Sendable>(_ question: Question, _ ask: @Sendable () async throws -> Answer) async throws -> Answer {
        let isSwallowed = state.withLock { state in
            guard state.swallowing == question else { return false }
            state.swallowing = nil
            return true
        }
        let answer = try await ask()
        if isSwallowed { await withCheckedContinuation { waiting in state.withLock { $0.swallowed.append(waiting) } } }
        return answer
    }

    var isShared: Bool { base.isShared }
    func listen(_ heard: @escaping @Sendable (_ inbox: [String]?) -> Void) { base.listen(heard) }
    func claimFires(_ claims: [FireClaim], owner: Owner, now: Instant) async throws -> [ClaimedRun?] { try await late(.cursor) { try await self.base.claimFires(claims, owner: owner, now: now) } }
    func moveCursors(_ moves: [CursorMove], now: Instant) async throws -> [Bool] { try await late(.cursor) { try await self.base.moveCursors(moves, now: now) } }
    func claimWaiting(_ limits: [String: WaitingLimit], taking inbox: InboxTake?, owner: Owner, now: Instant) async throws -> WaitingClaims { try await late(.waiting) { try await self.base.claimWaiting(limits, taking: inbox, owner: owner, now: now) } }
    func releaseClaims(_ claims: [HeldClaim], owner: Owner, now: Instant) async throws { try await base.releaseClaims(claims, owner: owner, now: now) }
    func refuseClaims(_ refusals: [Refusal], owner: Owner, now: Instant) async throws { try await base.refuseClaims(refusals, owner: owner, now: now) }
    func complete(_ completions: [Completion], now: Instant) async throws -> [Bool] { try await base.complete(completions, now: now) }
    func renewLeases(owner: Owner, for length: Duration, now: Instant) async throws -> Standing {
        state.withLock { $0.renewals += 1 }
        return try await late(.lease) { try await self.base.renewLeases(owner: owner, for: length, now: now) }
    }
    func waitingFires(upTo horizon: Instant) async throws -> [WaitingFire] { try await base.waitingFires(upTo: horizon) }
    func orphans(host: String, currentEpoch: String) async throws -> [RunRecord] { try await base.orphans(host: host, currentEpoch: currentEpoch) }
    func enqueue(
        _ requests: [NewRun], now: Instant, audit: (@Sendable ([(run: RunRecord, inserted: Bool)]) -> AuditRow?)?
    ) async throws -> [(run: RunRecord, inserted: Bool)] { try await base.enqueue(requests, now: now, audit: audit) }
    func jobsInInbox() async throws -> [String] { try await base.jobsInInbox() }
    func drainInbox(jobs: [String: InboxRule], limit: Int, now: Instant) async throws -> InboxResult { try await base.drainInbox(jobs: jobs, limit: limit, now: now) }
    func expireWaiting(limit: Int, now: Instant) async throws -> [RunRecord] { try await base.expireWaiting(limit: limit, now: now) }
    func cancelWaiting(_ run: RunID, reason: String, by: Actor, now: Instant) async throws -> Bool { try await base.cancelWaiting(run, reason: reason, by: by, now: now) }
    func retry(_ run: RunID, by: Actor, now: Instant) async throws -> RunRecord { try await base.retry(run, by: by, now: now) }
    func discardDead(_ run: RunID, by: Actor, now: Instant) async throws -> Bool { try await base.discardDead(run, by: by, now: now) }
    func jobStates() async throws -> [String: JobStateRow] { try await base.jobStates() }
    func jobStates(of jobs: [String]) async throws -> [String: JobStateRow] { try await base.jobStates(of: jobs) }
    func saveBreaker(job: String, _ data: String, by: Actor, action: String, now: Instant) async throws -> BreakerRow { try await base.saveBreaker(job: job, data, by: by, action: action, now: now) }
    func saveControl(job: String, _ change: ControlChange, by: Actor, action: String, now: Instant) async throws -> ControlRow { try await base.saveControl(job: job, change, by: by, action: action, now: now) }
    func hostControl() async throws -> ControlRow { try await base.hostControl() }
    func saveHostControl(_ change: ControlChange, by: Actor, action: String, now: Instant) async throws -> ControlRow { try await base.saveHostControl(change, by: by, action: action, now: now) }
    func stateBlob(job: String) async throws -> (version: UInt32, bytes: [UInt8])? { try await base.stateBlob(job: job) }
    func add(_ ask: Ask, by actor: Actor) async throws -> Int64 { try await base.add(ask, by: actor) }
    func decide(_ ask: Ask, by actor: Actor) async throws -> Bool { try await base.decide(ask, by: actor) }
    func asks(before: Int64?, limit: Int) async throws -> [Ask] { try await base.asks(before: before, limit: limit) }
    func ask(_ id: Int64) async throws -> Ask? { try await base.ask(id) }
    func acceptedLibraries() async throws -> [AcceptedLibrary] { try await base.acceptedLibraries() }
    func saveAcceptedLibrary(_ library: AcceptedLibrary) async throws { try await base.saveAcceptedLibrary(library) }
    func saveReload(_ reload: ReloadRow) async throws { try await base.saveReload(reload) }
    func reloads(before: Int64?, limit: Int) async throws -> [ReloadRow] { try await base.reloads(before: before, limit: limit) }
    func saveWorkers(_ workers: [WorkerRow], host: String) async throws { try await base.saveWorkers(workers, host: host) }
    func workers(host: String) async throws -> [WorkerRow] { try await base.workers(host: host) }
    func enter(owner: Owner, as host: HostIntroduction, for length: Duration, now: Instant) async throws -> Bool { try await base.enter(owner: owner, as: host, for: length, now: now) }
    func leave(owner: Owner) async throws { try await base.leave(owner: owner) }
    func abandonedRuns(seenBy owner: Owner) async throws -> [RunRecord] { try await base.abandonedRuns(seenBy: owner) }
    func claims(of owner: Owner) async throws -> [HeldClaim] { try await base.claims(of: owner) }
    func sharedState(owner: Owner) async throws -> SharedState { try await base.sharedState(owner: owner) }
    func hosts() async throws -> [HostRow] { try await base.hosts() }
    func setDrained(host: String, _ isDrained: Bool, by actor: Actor, now: Instant) async throws -> Bool { try await base.setDrained(host: host, isDrained, by: actor, now: now) }
    func cancelElsewhere(_ run: RunID, reason: String, by actor: Actor, now: Instant) async throws -> Bool { try await base.cancelElsewhere(run, reason: reason, by: actor, now: now) }
    func saveDefinitions(_ definitions: [DefinitionRow], labels: [String], host: String) async throws { try await base.saveDefinitions(definitions, labels: labels, host: host) }
    func definitions() async throws -> [DefinitionRow] { try await base.definitions() }
    func run(_ id: RunID) async throws -> RunRecord? { try await base.run(id) }
    func runs(_ filter: RunFilter) async throws -> [RunRecord] { try await base.runs(filter) }
    func attempts(of run: RunID) async throws -> [AttemptRecord] { try await base.attempts(of: run) }
    func ranges(job: String?, from: Instant?, to: Instant?, before: RangePlace?, limit: Int) async throws -> RangePage { try await base.ranges(job: job, from: from, to: to, before: before, limit: limit) }
    func spans(from: Instant, to: Instant, step: Duration, limit: Int) async throws -> [RunSpan] { try await base.spans(from: from, to: to, step: step, limit: limit) }
    func skips(from: Instant, to: Instant, step: Duration, limit: Int) async throws -> [LedgerRange] { try await base.skips(from: from, to: to, step: step, limit: limit) }
    func counters() async throws -> [String: [String: Int64]] { try await base.counters() }
    func queueDepths(now: Instant) async throws -> [String: QueueDepth] { try await base.queueDepths(now: now) }
    func nextWaiting() async throws -> Instant? { try await base.nextWaiting() }
    func audit(_ filter: AuditFilter) async throws -> [AuditRow] { try await base.audit(filter) }
    func writeAudit(_ row: AuditRow) async throws { try await base.writeAudit(row) }
    func prune(retention: [String: RetentionRule], limit: Int, now: Instant) async throws -> [(job: String, run: RunID)] { try await base.prune(retention: retention, limit: limit, now: now) }
    func close() async { await base.close() }
}
