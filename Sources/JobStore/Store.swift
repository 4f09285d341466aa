import JobCore

/// Everything the host keeps: runs, ledger ranges, cursors, breakers, controls, state blobs,
/// audit. In the words of DESIGN; one conformance suite runs against every implementation.
///
/// Every method is one transaction, durable when it returns. Methods may be called from any
/// task at once; implementations queue them and commit several together. A batch is all or
/// nothing unless its comment says that each element succeeds or fails alone.
/// Errors: `StoreError`. `now` is passed in; a store on a server may use that server's clock
/// for leases.
public protocol Store: Sendable {
    // MARK: Claims, starts and ends of attempts

    /// A due fire becomes a run that is claimed by this host: the row and the cursor's move in
    /// one transaction. Each element succeeds or fails alone; `nil`: the cursor was not where
    /// `expectedCursor` says (somebody was faster, or the schedule was edited).
    func claimFires(_ claims: [FireClaim], owner: Owner, now: Instant) async throws -> [ClaimedRun?]
    /// Moves cursors without a run: ranges of skipped and missed fires, first appearances,
    /// edits. Each alone; false: compare-and-set failed.
    func moveCursors(_ moves: [CursorMove], now: Instant) async throws -> [Bool]
    /// Claims waiting runs (available, or due scheduled/retryable), best first: effective
    /// priority (priority plus one for every minute of waiting), then age. `limits` gives how many of each job
    /// at the most; jobs that are not in it are left alone. `inbox`: what other programs have inserted is taken first,
    /// in the same transaction.
    func claimWaiting(_ limits: [String: WaitingLimit], taking inbox: InboxTake?, owner: Owner, now: Instant) async throws -> WaitingClaims
    /// A claimed run that was never started goes back to `available` (scheduled fires too:
    /// their attempt is not counted). Guarded by fence: a claim that is not in force any more is left alone, also
    /// where `owner` has claimed the run anew.
    func releaseClaims(_ claims: [HeldClaim], owner: Owner, now: Instant) async throws
    /// A claimed run ends without an attempt (the check at the instant refused it). Guarded likewise.
    func refuseClaims(_ refusals: [Refusal], owner: Owner, now: Instant) async throws
    /// Attempts that ended. Guarded by fence: false where the attempt no longer belongs to this
    /// owner (its late result is refused). Everything in a completion commits together.
    func complete(_ completions: [Completion], now: Instant) async throws -> [Bool]
    /// Renews the lease of all running attempts of `owner`, for `length` from now on.
    @discardableResult
    func renewLeases(owner: Owner, for length: Duration, now: Instant) async throws -> Standing
    /// Fires that wait (trigger `schedule` or `catch_up`) and were never attempted, due up to
    /// `horizon`: what an earlier life of the host had queued.
    func waitingFires(upTo horizon: Instant) async throws -> [WaitingFire]
    /// Runs in `running` that belong to an earlier life of this host (the epoch differs).
    func orphans(host: String, currentEpoch: String) async throws -> [RunRecord]

    // MARK: Enqueueing and operators

    /// Inserts a run that waits. With a unique key that a live (not terminal) run of the job
    /// has: returns that run, `inserted == false`. (One that waits and has expired ends instead.)
    /// `audit` says what came of it, and is kept with it.
    func enqueue(
        _ requests: [NewRun], now: Instant, audit: (@Sendable ([(run: RunRecord, inserted: Bool)]) -> AuditRow?)?
    ) async throws -> [(run: RunRecord, inserted: Bool)]
    /// The jobs of the oldest rows in `enqueue_inbox`; empty: there are none. Costs no commit.
    func jobsInInbox() async throws -> [String]
    /// Rows that other programs inserted into `enqueue_inbox` are turned into runs. Returns
    /// how many, and the rows that were refused (unknown job, invalid JSON) with the reason;
    /// those stay in the inbox marked with it.
    func drainInbox(jobs: [String: InboxRule], limit: Int, now: Instant) async throws -> InboxResult
    /// Ends waiting runs whose time is over (`RunLifecycle.afterExpiry`), at most `limit` of them, the first to expire
    /// first; without their payloads. No claim takes one of them, whether this was called or not. Those come first that
    /// other calls have ended since the last time, since something else took their place: so each is told once.
    func expireWaiting(limit: Int, now: Instant) async throws -> [RunRecord]
    /// scheduled/available/retryable → cancelled. false: not waiting.
    func cancelWaiting(_ run: RunID, reason: String, by: Actor, now: Instant) async throws -> Bool
    /// A new run with the payload and idempotency key of a terminal one, trigger `retry_of`.
    func retry(_ run: RunID, by: Actor, now: Instant) async throws -> RunRecord
    /// discarded → removed from the dead letters (state cancelled, reason kept).
    func discardDead(_ run: RunID, by: Actor, now: Instant) async throws -> Bool

    // MARK: Per-job rows

    func jobStates() async throws -> [String: JobStateRow]
    /// Of these jobs alone.
    func jobStates(of jobs: [String]) async throws -> [String: JobStateRow]
    /// An operator's: it stands over whatever the breaker was, with its audit. Returns the row as it is then.
    @discardableResult
    func saveBreaker(job: String, _ data: String, by: Actor, action: String, now: Instant) async throws -> BreakerRow
    /// With the actor's reason. Returns the row as it is then.
    @discardableResult
    func saveControl(job: String, _ change: ControlChange, by: Actor, action: String, now: Instant) async throws -> ControlRow
    func hostControl() async throws -> ControlRow
    @discardableResult
    func saveHostControl(_ change: ControlChange, by: Actor, action: String, now: Instant) async throws -> ControlRow
    func stateBlob(job: String) async throws -> (version: UInt32, bytes: [UInt8])?
    /// Of those of these jobs that have one.
    func stateBlobs(of jobs: [String]) async throws -> [String: (version: UInt32, bytes: [UInt8])]

    // MARK: What takes two persons

    /// Keeps what was asked for, with its audit; its number.
    func add(_ ask: Ask, by: Actor) async throws -> Int64
    /// Keeps an answer, with its audit. false: somebody else's came first.
    func decide(_ ask: Ask, by: Actor) async throws -> Bool
    /// The newest first; with numbers below `before`.
    func asks(before: Int64?, limit: Int) async throws -> [Ask]
    func ask(_ id: Int64) async throws -> Ask?

    // MARK: Accepted libraries, reloads, workers

    func acceptedLibraries() async throws -> [AcceptedLibrary]
    func saveAcceptedLibrary(_ library: AcceptedLibrary) async throws
    func saveReload(_ reload: ReloadRow) async throws
    /// Of this host, the newest first; with numbers below `before`.
    func reloads(before: Int64?, limit: Int) async throws -> [ReloadRow]
    /// Replaces the record of living workers, for killing survivors after a crash of the supervisor.
    func saveWorkers(_ workers: [WorkerRow], host: String) async throws
    func workers(host: String) async throws -> [WorkerRow]

    // MARK: Beside other hosts

    /// Several hosts may serve it at once.
    var isShared: Bool { get }
    /// This life of a host begins to serve the store. Throws `held` while another one has its name:
    /// one whose lease of `length` holds, and that is not an earlier life at the same place. false: the
    /// earlier life of this name was elsewhere, so this place knows nothing of how it ended.
    func enter(owner: Owner, as host: HostIntroduction, for length: Duration, now: Instant) async throws -> Bool
    /// This life serves it no longer.
    func leave(owner: Owner) async throws
    /// Runs in `running` whose host has no lease any more; not those of `owner`'s own host.
    func abandonedRuns(seenBy owner: Owner) async throws -> [RunRecord]
    /// What `owner` has claimed and not ended, as the store sees it.
    func claims(of owner: Owner) async throws -> [HeldClaim]
    /// What operators and other hosts have decided.
    func sharedState(owner: Owner) async throws -> SharedState
    /// All hosts that serve the store, and those that died; by name.
    func hosts() async throws -> [HostRow]
    /// Takes a host out, or lets it serve again. false: there is no such host.
    func setDrained(host: String, _ isDrained: Bool, by actor: Actor, now: Instant) async throws -> Bool
    /// The host that runs it is to cancel it; it hears so in `sharedState`. false: it does not run.
    func cancelElsewhere(_ run: RunID, reason: String, by actor: Actor, now: Instant) async throws -> Bool
    /// Replaces what this host says of how far its runs under way are, for other hosts. Nothing of it is durable.
    func saveProgress(_ rows: [RunProgress], owner: Owner) async throws
    /// Of a run under way on whichever host; nil: its host has said nothing of it.
    func progress(of run: RunID) async throws -> RunProgress?
    /// Replaces what this host says that it serves, and its labels.
    func saveDefinitions(_ definitions: [DefinitionRow], labels: [String], host: String) async throws
    /// What living hosts serve.
    func definitions() async throws -> [DefinitionRow]

    // MARK: Reading

    func run(_ id: RunID) async throws -> RunRecord?
    func runs(_ filter: RunFilter) async throws -> [RunRecord]
    /// The newest runs of each of these jobs, so many of each at the most, newest first; without their payloads.
    func newestRuns(of jobs: [String], each limit: Int) async throws -> [String: [RunRecord]]
    func attempts(of run: RunID) async throws -> [AttemptRecord]
    /// Those that touch `from` ..< `to`, the newest end first; of pages, what lies behind `before`.
    func ranges(job: String?, from: Instant?, to: Instant?, before: RangePlace?, limit: Int) async throws -> RangePage
    /// Ended runs whose last attempt touches `from` ..< `to`, summed up by job, step (of length
    /// `step`, positive) and outcome; by job and step. At most `limit`, those of the first jobs.
    func spans(from: Instant, to: Instant, step: Duration, limit: Int) async throws -> [RunSpan]
    /// Runs that ended without an attempt within `from` ..< `to` (refused at their instant, expired), in no range: summed up
    /// by job, reason and step, the newest first. Of fires: when they were due; of others: when they ended.
    func skips(from: Instant, to: Instant, step: Duration, limit: Int) async throws -> [LedgerRange]
    /// Outcomes per job since ever; they outlive the rows.
    func counters() async throws -> [String: [String: Int64]]
    /// Waiting and running counts and the oldest waiting instant per job.
    func queueDepths(now: Instant) async throws -> [String: QueueDepth]
    /// The earliest instant at which a waiting run becomes due; nil: none waits.
    func nextWaiting() async throws -> Instant?
    func audit(_ filter: AuditFilter) async throws -> [AuditRow]
    func writeAudit(_ row: AuditRow) async throws

    // MARK: Keeping house

    /// Deletes what each job's retention no longer keeps, at most `limit` rows a call. Returns the ids
    /// deleted (their log files go too).
    func prune(retention: [String: RetentionRule], limit: Int, now: Instant) async throws -> [(job: String, run: RunID)]
    func close() async

    /// Calls `heard` whenever something may wait for a claim or in the inbox, from any thread; with the answer of
    /// `jobsInInbox` for the oldest rows where it was found there. A hint and no more: whoever listens asks now and then
    /// all the same.
    func listen(_ heard: @escaping @Sendable (_ inbox: [String]?) -> Void)
}

extension Store {
    /// The newest of them.
    public func asks(limit: Int) async throws -> [Ask] { try await asks(before: nil, limit: limit) }
    /// What nobody asked for by hand.
    public func enqueue(_ requests: [NewRun], now: Instant) async throws -> [(run: RunRecord, inserted: Bool)] {
        try await enqueue(requests, now: now, audit: nil)
    }
    public func reloads(limit: Int) async throws -> [ReloadRow] { try await reloads(before: nil, limit: limit) }
    public func ranges(job: String?, from: Instant?, to: Instant?, limit: Int) async throws -> [LedgerRange] {
        try await ranges(job: job, from: from, to: to, before: nil, limit: limit).ranges
    }
}

/// Who owns claims: one life of one host.
public struct Owner: Hashable, Sendable {
    public var host: String
    /// New at every start of the supervisor.
    public var epoch: String
    public init(host: String, epoch: String) {
        self.host = host
        self.epoch = epoch
    }
}

/// Who asked for something: for the audit.
public struct Actor: Hashable, Codable, Sendable {
    /// "root (uid 0)", "system".
    public var name: String
    /// "cli", "http", "signal", "host".
    public var via: String
    public var reason: String
    /// Who it is, wherever they ask from: what tells two persons apart.
    public var person: String
    /// `person` nil: as the name says.
    public init(name: String, via: String, reason: String = "", person: String? = nil) {
        self.name = name
        self.via = via
        self.reason = reason
        self.person = person ?? name
    }
    public static let system = Actor(name: "system", via: "host")
}

public struct StoreError: Error, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// Busy, locked, full, read-only, connection lost: try again.
        case unavailable
        /// The run, job or row that was named is not there or not in that state.
        case notFound
        /// The file is of another program or a newer version.
        case incompatible
        /// Another host has this one's name.
        case held
        /// A fault of ours.
        case broken
    }
    public var kind: Kind
    public var message: String
    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }
    public var description: String { message }
}
