import JobCore

// Which thread answers which call. The rules are in `Ledger`.

extension SQLiteStore: Store {
    // MARK: Claims, starts and ends of attempts

    public func claimFires(_ claims: [FireClaim], owner: Owner, now: Instant) async throws -> [ClaimedRun?] {
        try await write { try $0.claimFires(claims, owner: owner, now: now) }
    }
    public func moveCursors(_ moves: [CursorMove], now: Instant) async throws -> [Bool] {
        try await write { try $0.moveCursors(moves, now: now) }
    }
    public func claimWaiting(
        _ limits: [String: WaitingLimit], taking inbox: InboxTake?, owner: Owner, now: Instant
    ) async throws -> WaitingClaims {
        // Most looks find nothing; those cost no commit.
        if !moreWaits.take(), inbox == nil {
            guard try await ask({ try $0.nextWaiting().map { $0 <= now } ?? false }) else { return WaitingClaims() }
        }
        let claims = try await writeExpiring { ledger in
            guard let inbox else { return try ledger.claimWaiting(limits, owner: owner, now: now) }
            return try ledger.claimWaiting(limits, taking: inbox, owner: owner, now: now)
        }
        moreWaits.claimed(claims, of: limits)
        return claims
    }
    public func releaseClaims(_ claims: [HeldClaim], owner: Owner, now: Instant) async throws {
        try await write { try $0.releaseClaims(claims, owner: owner, now: now) }
    }
    public func refuseClaims(_ refusals: [Refusal], owner: Owner, now: Instant) async throws {
        try await write { try $0.refuseClaims(refusals, owner: owner, now: now) }
    }
    public func complete(_ completions: [Completion], now: Instant) async throws -> [Bool] {
        try await writeExpiring { try $0.complete(completions, now: now) }
    }
    /// `complete` without a task: `completion` is called on the writer's thread and must be short.
    public func complete(
        _ completions: [Completion], now: Instant,
        completion: @escaping @Sendable (Result<[Bool], StoreError>) -> Void
    ) {
        submit({ ledger in try ExpiredBeside.noting(ledger) { try $0.complete(completions, now: now) } }) { [expired] in
            completion($0.map(expired.keep))
        }
    }
    @discardableResult
    public func renewLeases(owner: Owner, for length: Duration, now: Instant) async throws -> Standing {
        try await write { try $0.renewLeases(owner: owner, for: length, now: now) }
        return Standing()
    }
    public func waitingFires(upTo horizon: Instant) async throws -> [WaitingFire] {
        try await ask { try $0.waitingFires(upTo: horizon) }
    }
    public func orphans(host: String, currentEpoch: String) async throws -> [RunRecord] {
        // The lock on the file proves that every other life has ended, whatever the host was called then.
        try await ask { try $0.orphans(host: nil, currentEpoch: currentEpoch) }
    }

    // MARK: Enqueueing and operators

    public func enqueue(
        _ requests: [NewRun], now: Instant, audit: (@Sendable ([(run: RunRecord, inserted: Bool)]) -> AuditRow?)?
    ) async throws -> [(run: RunRecord, inserted: Bool)] {
        try await moreWaits.noting { try await writeExpiring { try $0.enqueue(requests, now: now, audit: audit) } }
    }
    public func claims(of owner: Owner) async throws -> [HeldClaim] {
        try await ask { try $0.claims(of: owner) }
    }
    public func jobsInInbox() async throws -> [String] {
        try await ask { try $0.jobsInInbox() }
    }
    public func drainInbox(jobs: [String: InboxRule], limit: Int, now: Instant) async throws -> InboxResult {
        try await writeExpiring { try $0.drainInbox(jobs: jobs, limit: limit, now: now) }
    }
    public func expireWaiting(limit: Int, now: Instant) async throws -> [RunRecord] {
        try await expired.joined(limit) { limit in
            // Most looks find nothing; those cost no commit.
            guard try await ask({ try $0.nextExpiry().map { $0 <= now } ?? false }) else { return [] }
            return try await write { try $0.expireWaiting(limit: limit, now: now) }
        }
    }
    public func cancelWaiting(_ run: RunID, reason: String, by actor: Actor, now: Instant) async throws -> Bool {
        try await write { try $0.cancelWaiting(run, reason: reason, by: actor, now: now) }
    }
    public func retry(_ run: RunID, by actor: Actor, now: Instant) async throws -> RunRecord {
        try await write { try $0.retry(run, by: actor, now: now) }
    }
    public func discardDead(_ run: RunID, by actor: Actor, now: Instant) async throws -> Bool {
        try await write { try $0.discardDead(run, by: actor, now: now) }
    }

    // MARK: Per-job rows

    public func jobStates() async throws -> [String: JobStateRow] {
        try await ask { try $0.jobStates() }
    }
    public func jobStates(of jobs: [String]) async throws -> [String: JobStateRow] {
        try await ask { try $0.jobStates(of: jobs) }
    }
    @discardableResult
    public func saveBreaker(job: String, _ data: String, by actor: Actor, action: String, now: Instant) async throws -> BreakerRow {
        try await write { try $0.saveBreaker(job: job, data, by: actor, action: action, now: now) }
    }
    @discardableResult
    public func saveControl(job: String, _ change: ControlChange, by actor: Actor, action: String, now: Instant) async throws -> ControlRow {
        try await write { try $0.saveControl(job: job, change, by: actor, action: action, now: now) }
    }
    public func hostControl() async throws -> ControlRow {
        try await ask { try $0.hostControl() }
    }
    @discardableResult
    public func saveHostControl(_ change: ControlChange, by actor: Actor, action: String, now: Instant) async throws -> ControlRow {
        try await write { try $0.saveControl(job: Control.host, change, by: actor, action: action, now: now) }
    }
    public func stateBlob(job: String) async throws -> (version: UInt32, bytes: [UInt8])? {
        try await ask { try $0.stateBlob(job: job) }
    }
    public func stateBlobs(of jobs: [String]) async throws -> [String: (version: UInt32, bytes: [UInt8])] {
        try await ask { try $0.stateBlobs(of: jobs) }
    }

    // MARK: What takes two persons

    public func add(_ ask: Ask, by actor: Actor) async throws -> Int64 {
        try await write { try $0.add(ask, by: actor) }
    }
    public func decide(_ ask: Ask, by actor: Actor) async throws -> Bool {
        try await write { try $0.decide(ask, by: actor) }
    }
    public func asks(before: Int64?, limit: Int) async throws -> [Ask] {
        try await list { try $0.asks(before: before, limit: limit) }
    }
    public func ask(_ id: Int64) async throws -> Ask? {
        try await ask { try $0.ask(id) }
    }

    // MARK: Accepted libraries, reloads, workers

    public func acceptedLibraries() async throws -> [AcceptedLibrary] {
        try await ask { try $0.acceptedLibraries() }
    }
    public func saveAcceptedLibrary(_ library: AcceptedLibrary) async throws {
        try await write { try $0.saveAcceptedLibrary(library) }
    }
    public func saveReload(_ reload: ReloadRow) async throws {
        try await write { try $0.saveReload(reload) }
    }
    public func reloads(before: Int64?, limit: Int) async throws -> [ReloadRow] {
        try await list { try $0.reloads(before: before, limit: limit) }
    }
    public func saveWorkers(_ workers: [WorkerRow], host: String) async throws {
        try await write { try $0.saveWorkers(workers, host: host) }
    }
    public func workers(host: String) async throws -> [WorkerRow] {
        try await ask { try $0.workers(host: host) }
    }

    // MARK: Reading

    public func run(_ id: RunID) async throws -> RunRecord? {
        try await ask { try $0.run(id) }
    }
    public func runs(_ filter: RunFilter) async throws -> [RunRecord] {
        try await list { try $0.runs(filter) }
    }
    public func attempts(of run: RunID) async throws -> [AttemptRecord] {
        try await ask { try $0.attempts(of: run) }
    }
    public func ranges(job: String?, from: Instant?, to: Instant?, before: RangePlace?, limit: Int) async throws -> RangePage {
        try await list { try $0.ranges(job: job, from: from, to: to, before: before, limit: limit) }
    }
    public func spans(from: Instant, to: Instant, step: Duration, limit: Int) async throws -> [RunSpan] {
        try await list { try $0.spans(from: from, to: to, step: step, limit: limit) }
    }
    public func skips(from: Instant, to: Instant, step: Duration, limit: Int) async throws -> [LedgerRange] {
        try await list { try $0.skips(from: from, to: to, step: step, limit: limit) }
    }
    public func counters() async throws -> [String: [String: Int64]] {
        try await list { try $0.counters() }
    }
    public func queueDepths(now: Instant) async throws -> [String: QueueDepth] {
        try await list { try $0.queueDepths(now: now) }
    }
    public func nextWaiting() async throws -> Instant? {
        try await ask { try $0.nextWaiting() }
    }
    public func audit(_ filter: AuditFilter) async throws -> [AuditRow] {
        try await list { try $0.audit(filter) }
    }
    public func writeAudit(_ row: AuditRow) async throws {
        try await write { try $0.writeAudit(row) }
    }

    // MARK: Keeping house

    public func prune(
        retention: [String: RetentionRule], limit: Int, now: Instant
    ) async throws -> [(job: String, run: RunID)] {
        let expired = try await list { try $0.expiredOfAll(retention, limit: limit, now: now) }
        if expired.isEmpty { return [] }
        return try await write { try $0.delete(expired) }
    }
}
