import JobCore
import JobStore
import Synchronization

/// A store that several hosts share, asked by one that recurs: it answers when the test says so. Whatever else it is
/// asked it refuses.
final class SlowStore: Store {
    private struct State {
        var isHeld = true
        var fault: StoreError?
        var asked: [String] = []
        var held: [CheckedContinuation<Void, Never>] = []
        /// Of every job.
        var blob: StateBlob?
        var isLate = false
        var inbox: [String] = []
        var batches = 0
        var audit: [AuditRow] = []
    }
    private let state = Mutex(State())

    func asked(_ question: String) -> Int { questions.count { $0 == question } }

    /// In the order of asking.
    var questions: [String] { state.withLock { $0.asked } }

    /// What was kept with something else.
    var audit: [AuditRow] { state.withLock { $0.audit } }

    /// What it was asked, and will be. `fault`: it throws that.
    func answer(_ fault: StoreError? = nil) {
        let held = state.withLock { state in
            (state.isHeld, state.fault) = (false, fault)
            defer { state.held = [] }
            return state.held
        }
        for continuation in held { continuation.resume() }
    }

    /// The state of every job. `isLate`: no end is recorded any more.
    func hold(state blob: StateBlob?, isLate: Bool) { state.withLock { ($0.blob, $0.isLate) = (blob, isLate) } }

    /// Jobs in the inbox; so many times more is left there than was taken.
    func hold(inbox: [String], batches: Int) { state.withLock { ($0.inbox, $0.batches) = (inbox, batches) } }

    private func ask(_ question: String) async throws {
        await withCheckedContinuation { continuation in
            let isHeld = state.withLock { state in
                state.asked.append(question)
                if state.isHeld { state.held.append(continuation) }
                return state.isHeld
            }
            if !isHeld { continuation.resume() }
        }
        if let fault = state.withLock({ $0.fault }) { throw fault }
    }

    // MARK: What recurs

    let isShared = true
    func nextWaiting() async throws -> Instant? {
        try await ask("nextWaiting")
        return nil
    }
    func queueDepths(now: Instant) async throws -> [String: QueueDepth] {
        try await ask("queueDepths")
        return [:]
    }
    func prune(retention: [String: RetentionRule], limit: Int, now: Instant) async throws -> [(job: String, run: RunID)] {
        try await ask("prune")
        return []
    }
    func expireWaiting(limit: Int, now: Instant) async throws -> [RunRecord] {
        try await ask("expireWaiting")
        return []
    }
    func jobsInInbox() async throws -> [String] {
        try await ask("jobsInInbox")
        return state.withLock { $0.inbox }
    }
    func drainInbox(jobs: [String: InboxRule], limit: Int, now: Instant) async throws -> InboxResult {
        try await ask("drainInbox")
        var result = InboxResult()
        state.withLock { state in
            result.mayHaveMore = state.batches > 0
            if result.mayHaveMore { state.batches -= 1 } else { state.inbox = [] }
        }
        return result
    }
    func renewLeases(owner: Owner, for length: Duration, now: Instant) async throws -> Standing {
        try await ask("renewLeases")
        return Standing()
    }
    func sharedState(owner: Owner) async throws -> SharedState {
        try await ask("sharedState")
        return SharedState()
    }
    func abandonedRuns(seenBy owner: Owner) async throws -> [RunRecord] {
        try await ask("abandonedRuns")
        return []
    }
    func claims(of owner: Owner) async throws -> [HeldClaim] {
        try await ask("claims")
        return []
    }
    func definitions() async throws -> [DefinitionRow] {
        try await ask("definitions")
        return []
    }
    func complete(_ completions: [Completion], now: Instant) async throws -> [Bool] {
        completions.map { _ in !state.withLock { $0.isLate } }
    }
    func stateBlob(job: String) async throws -> (version: UInt32, bytes: [UInt8])? {
        state.withLock { $0.blob.map { ($0.version, $0.bytes) } }
    }
    func stateBlobs(of jobs: [String]) async throws -> [String: (version: UInt32, bytes: [UInt8])] {
        try await ask("stateBlobs")
        return state.withLock { state in
            Dictionary(uniqueKeysWithValues: jobs.compactMap { job in state.blob.map { (job, (version: $0.version, bytes: $0.bytes)) } })
        }
    }
    /// By hand.
    func enqueue(
        _ requests: [NewRun], now: Instant, audit: (@Sendable ([(run: RunRecord, inserted: Bool)]) -> AuditRow?)?
    ) async throws -> [(run: RunRecord, inserted: Bool)] {
        try await ask("enqueue")
        let results = requests.map { request in
            let run = RunRecord(
                id: RunID(1), job: request.job, trigger: request.trigger, state: .available, outcome: nil, fireTime: request.fireTime,
                availableAt: request.fireTime, createdAt: now, startedAt: nil, finishedAt: nil, attempt: 0, maxAttempts: request.maxAttempts,
                priority: request.priority, fence: 0, owner: "", epoch: "", pid: 0, libraryHash: "", generation: 0, reason: "", code: 0,
                items: 0, cpuMicroseconds: 0, uniqueKey: request.uniqueKey, idempotencyKey: "1", retryOf: nil, payload: "")
            return (run: run, inserted: true)
        }
        if let row = audit?(results) { state.withLock { $0.audit.append(row) } }
        return results
    }
    func claimWaiting(_ limits: [String: WaitingLimit], taking inbox: InboxTake?, owner: Owner, now: Instant) async throws -> WaitingClaims {
        try await ask("claimWaiting")
        return WaitingClaims()
    }
    func writeAudit(_ row: AuditRow) async throws { try await ask("writeAudit") }
    /// What a reload asks.
    func jobStates() async throws -> [String: JobStateRow] {
        try await ask("jobStates")
        return [:]
    }
    func waitingFires(upTo horizon: Instant) async throws -> [WaitingFire] { [] }
    func counters() async throws -> [String: [String: Int64]] { [:] }
    func asks(before: Int64?, limit: Int) async throws -> [Ask] { [] }
    func close() async {}

    // MARK: The rest

    private var unused: StoreError { StoreError(.broken, "nobody asks that here") }
    func run(_ id: RunID) async throws -> RunRecord? { throw unused }
    func runs(_ filter: RunFilter) async throws -> [RunRecord] { throw unused }
    func attempts(of run: RunID) async throws -> [AttemptRecord] { throw unused }
    func ranges(job: String?, from: Instant?, to: Instant?, before: RangePlace?, limit: Int) async throws -> RangePage { throw unused }
    func spans(from: Instant, to: Instant, step: Duration, limit: Int) async throws -> [RunSpan] { throw unused }
    func skips(from: Instant, to: Instant, step: Duration, limit: Int) async throws -> [LedgerRange] { throw unused }
    func audit(_ filter: AuditFilter) async throws -> [AuditRow] { throw unused }
    func reloads(before: Int64?, limit: Int) async throws -> [ReloadRow] { throw unused }
    func claimFires(_ claims: [FireClaim], owner: Owner, now: Instant) async throws -> [ClaimedRun?] { throw unused }
    func moveCursors(_ moves: [CursorMove], now: Instant) async throws -> [Bool] { throw unused }
    func releaseClaims(_ claims: [HeldClaim], owner: Owner, now: Instant) async throws { throw unused }
    func refuseClaims(_ refusals: [Refusal], owner: Owner, now: Instant) async throws { throw unused }
    func orphans(host: String, currentEpoch: String) async throws -> [RunRecord] { throw unused }
    func cancelWaiting(_ run: RunID, reason: String, by: Actor, now: Instant) async throws -> Bool { throw unused }
    func retry(_ run: RunID, by: Actor, now: Instant) async throws -> RunRecord { throw unused }
    func discardDead(_ run: RunID, by: Actor, now: Instant) async throws -> Bool { throw unused }
    func jobStates(of jobs: [String]) async throws -> [String: JobStateRow] { throw unused }
    func saveBreaker(job: String, _ data: String, by: Actor, action: String, now: Instant) async throws -> BreakerRow { throw unused }
    func saveControl(job: String, _ change: ControlChange, by: Actor, action: String, now: Instant) async throws -> ControlRow { throw unused }
    func hostControl() async throws -> ControlRow { throw unused }
    func saveHostControl(_ change: ControlChange, by: Actor, action: String, now: Instant) async throws -> ControlRow { throw unused }
    func add(_ ask: Ask, by: Actor) async throws -> Int64 { throw unused }
    func decide(_ ask: Ask, by: Actor) async throws -> Bool { throw unused }
    func ask(_ id: Int64) async throws -> Ask? { throw unused }
    func acceptedLibraries() async throws -> [AcceptedLibrary] { throw unused }
    func saveAcceptedLibrary(_ library: AcceptedLibrary) async throws { throw unused }
    func saveReload(_ reload: ReloadRow) async throws { throw unused }
    func saveWorkers(_ workers: [WorkerRow], host: String) async throws { throw unused }
    func workers(host: String) async throws -> [WorkerRow] { throw unused }
}
