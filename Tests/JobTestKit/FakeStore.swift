import JobCore
import JobStore
import Synchronization

/// A store of fixed contents for reading; whatever views must not call throws. Told so, it takes records.
package final class FakeStore: Store {
    package struct Contents {
        package var runs: [RunRecord] = []
        package var attempts: [AttemptRecord] = []
        package var ranges: [LedgerRange] = []
        package var audit: [AuditRow] = []
        package var asks: [Ask] = []
        package var reloads: [ReloadRow] = []
        /// Thrown by every read.
        package var fault: StoreError?
        /// What has been recorded, in words, in order; nil: nothing is taken.
        package var records: [String]?
        /// Thrown by a call that records one of these.
        package var refused: [String: StoreError] = [:]
        /// How often each was refused.
        package var refusals: [String: Int] = [:]
        package init(
            runs: [RunRecord] = [], attempts: [AttemptRecord] = [], ranges: [LedgerRange] = [], audit: [AuditRow] = [], asks: [Ask] = [],
            reloads: [ReloadRow] = [], records: [String]? = nil, refused: [String: StoreError] = [:]
        ) {
            (self.runs, self.attempts, self.ranges, self.audit, self.asks, self.reloads) = (runs, attempts, ranges, audit, asks, reloads)
            (self.records, self.refused) = (records, refused)
        }
    }
    private let contents: Mutex<Contents>
    package init(_ contents: Contents = Contents()) { self.contents = Mutex(contents) }

    package func edit(_ change: (inout Contents) -> Void) { contents.withLock { change(&$0) } }

    private func read<T: Sendable>(_ body: (Contents) throws -> T) throws -> T {
        try contents.withLock { contents in
            if let fault = contents.fault { throw fault }
            return try body(contents)
        }
    }
    /// All of them, or none.
    private func take(_ words: [String]) throws {
        try contents.withLock { contents in
            guard contents.records != nil else { throw unused }
            if let fault = contents.fault { throw fault }
            for word in words {
                guard let error = contents.refused[word] else { continue }
                contents.refusals[word, default: 0] += 1
                throw error
            }
            contents.records? += words
        }
    }
    package var records: [String] { contents.withLock { $0.records ?? [] } }
    package func refusals(of word: String) -> Int { contents.withLock { $0.refusals[word] ?? 0 } }
    private var unused: StoreError { StoreError(.broken, "views do not write") }

    package func run(_ id: RunID) async throws -> RunRecord? { try read { $0.runs.first { $0.id == id } } }
    package func runs(_ filter: RunFilter) async throws -> [RunRecord] {
        try read { contents in
            let hits = contents.runs.filter { run in
                (filter.job == nil || run.job == filter.job)
                    && (filter.states.isEmpty || filter.states.contains(run.state))
                    && (filter.outcomes.isEmpty || run.outcome.map(filter.outcomes.contains) == true)
                    && (filter.from.map { run.fireTime >= $0 } ?? true) && (filter.to.map { run.fireTime < $0 } ?? true)
                    && (filter.retryOf == nil || run.retryOf == filter.retryOf)
                    && (filter.before.map { run.id < $0 } ?? true)
                    && (filter.endedAfter.map { after in run.finishedAt.map { $0 > after } ?? false } ?? true)
            }
            return Array(hits.sorted { $0.id > $1.id }.prefix(Bounds.rows(filter.limit)))
        }
    }
    package func attempts(of run: RunID) async throws -> [AttemptRecord] { try read { $0.attempts.filter { $0.run == run } } }
    /// Numbered from the oldest, which is the last.
    package func ranges(job: String?, from: Instant?, to: Instant?, before: RangePlace?, limit: Int) async throws -> RangePage {
        try read { contents in
            let numbered = contents.ranges.reversed().enumerated().map { (id: Int64($0.offset + 1), range: $0.element) }.reversed()
            let hits = numbered.filter { (job == nil || $0.range.job == job) && $0.id < before?.id ?? .max }
            let page = hits.prefix(limit)
            return RangePage(
                ranges: page.map { $0.range }, next: hits.count > limit ? page.last.map { RangePlace(last: $0.range.last, id: $0.id) } : nil)
        }
    }
    package func spans(from: Instant, to: Instant, step: Duration, limit: Int) async throws -> [RunSpan] {
        try read { state in
            let ended = state.runs.filter { run in
                guard let start = run.startedAt, let end = run.finishedAt else { return false }
                return run.outcome != nil && start < to && end >= from
            }
            return ended.prefix(limit).compactMap { run in
                guard let start = run.startedAt, let end = run.finishedAt, let outcome = run.outcome else { return nil }
                let index = Int(max(0, (start - from).microseconds / step.microseconds))
                return RunSpan(
                    job: run.job, step: index, outcome: outcome, runs: 1, first: start, last: end, busy: end - start, run: run.id)
            }
        }
    }
    package func skips(from: Instant, to: Instant, step: Duration, limit: Int) async throws -> [LedgerRange] {
        try read { contents in
            contents.runs.filter { $0.outcome == nil && from <= $0.fireTime && $0.fireTime < to }.compactMap { run in
                NoRunReason(rawValue: run.reason).map { LedgerRange(job: run.job, reason: $0, first: run.fireTime, last: run.fireTime, count: 1) }
            }
        }
    }
    package func counters() async throws -> [String: [String: Int64]] { try read { _ in ["candles": ["succeeded": 41, "failed": 1]] } }
    package func queueDepths(now: Instant) async throws -> [String: QueueDepth] {
        try read { _ in ["mint": QueueDepth(waiting: 3, due: 3, running: 0, dead: 1, oldestWaiting: Instant(seconds: 1_777_888_700))] }
    }
    package func audit(_ filter: AuditFilter) async throws -> [AuditRow] {
        try read {
            let entries = $0.audit.filter { entry in
                (filter.job == nil || entry.job == filter.job) && entry.at >= filter.from ?? entry.at
                    && entry.id < filter.before ?? .max
                    && filter.run.map { ["run", "\($0)"].elementsEqual(entry.detail.split(separator: " ").prefix(2).map(String.init)) } ?? true
            }
            return Array(entries.prefix(filter.limit))
        }
    }
    package func reloads(before: Int64?, limit: Int) async throws -> [ReloadRow] {
        try read { Array($0.reloads.filter { $0.id < before ?? .max }.prefix(limit)) }
    }

    package func claimFires(_ claims: [FireClaim], owner: Owner, now: Instant) async throws -> [ClaimedRun?] { throw unused }
    package func moveCursors(_ moves: [CursorMove], now: Instant) async throws -> [Bool] { throw unused }
    package func claimWaiting(
        _ limits: [String: WaitingLimit], taking inbox: InboxTake?, owner: Owner, now: Instant
    ) async throws -> WaitingClaims { throw unused }
    package func claims(of owner: Owner) async throws -> [HeldClaim] { [] }
    package func jobsInInbox() async throws -> [String] { throw unused }
    package func releaseClaims(_ claims: [HeldClaim], owner: Owner, now: Instant) async throws {
        try take(claims.map { "release \($0.run)" })
    }
    package func refuseClaims(_ refusals: [Refusal], owner: Owner, now: Instant) async throws {
        try take(refusals.map { "refuse \($0.claim.run)" })
    }
    package func complete(_ completions: [Completion], now: Instant) async throws -> [Bool] {
        try take(completions.flatMap { ["complete \($0.run)"] + ($0.stateBlob == nil ? [] : ["state of \($0.run)"]) })
        return completions.map { _ in true }
    }
    package func renewLeases(owner: Owner, for length: Duration, now: Instant) async throws -> Standing { throw unused }
    package func waitingFires(upTo horizon: Instant) async throws -> [WaitingFire] { throw unused }
    package func orphans(host: String, currentEpoch: String) async throws -> [RunRecord] { throw unused }
    package func enqueue(
        _ requests: [NewRun], now: Instant, audit: (@Sendable ([(run: RunRecord, inserted: Bool)]) -> AuditRow?)?
    ) async throws -> [(run: RunRecord, inserted: Bool)] { throw unused }
    package func drainInbox(jobs: [String: InboxRule], limit: Int, now: Instant) async throws -> InboxResult { throw unused }
    package func expireWaiting(limit: Int, now: Instant) async throws -> [RunRecord] { throw unused }
    package func cancelWaiting(_ run: RunID, reason: String, by: Actor, now: Instant) async throws -> Bool { throw unused }
    package func retry(_ run: RunID, by: Actor, now: Instant) async throws -> RunRecord { throw unused }
    package func discardDead(_ run: RunID, by: Actor, now: Instant) async throws -> Bool { throw unused }
    package func jobStates() async throws -> [String: JobStateRow] { throw unused }
    package func jobStates(of jobs: [String]) async throws -> [String: JobStateRow] { throw unused }
    package func saveBreaker(job: String, _ data: String, by: Actor, action: String, now: Instant) async throws -> BreakerRow { throw unused }
    package func saveControl(job: String, _ change: ControlChange, by: Actor, action: String, now: Instant) async throws -> ControlRow { throw unused }
    package func hostControl() async throws -> ControlRow { throw unused }
    package func saveHostControl(_ change: ControlChange, by: Actor, action: String, now: Instant) async throws -> ControlRow { throw unused }
    package func stateBlob(job: String) async throws -> (version: UInt32, bytes: [UInt8])? { throw unused }
    package func add(_ ask: Ask, by: Actor) async throws -> Int64 { throw unused }
    package func decide(_ ask: Ask, by: Actor) async throws -> Bool { throw unused }
    package func asks(before: Int64?, limit: Int) async throws -> [Ask] {
        try read { Array($0.asks.filter { $0.id < before ?? .max }.prefix(limit)) }
    }
    package func ask(_ id: Int64) async throws -> Ask? { try read { $0.asks.first { $0.id == id } } }
    package func acceptedLibraries() async throws -> [AcceptedLibrary] { throw unused }
    package func saveAcceptedLibrary(_ library: AcceptedLibrary) async throws { throw unused }
    package func saveReload(_ reload: ReloadRow) async throws { throw unused }
    package func saveWorkers(_ workers: [WorkerRow], host: String) async throws { throw unused }
    package func workers(host: String) async throws -> [WorkerRow] { throw unused }
    package func nextWaiting() async throws -> Instant? { throw unused }
    package func writeAudit(_ row: AuditRow) async throws { try take(["audit \(row.action)"]) }
    package func prune(retention: [String: RetentionRule], limit: Int, now: Instant) async throws -> [(job: String, run: RunID)] {
        throw unused
    }
    package func close() async {}
}
