import JobCore
import SQL

/// The store's SQL over one connection, the same for both databases; each adds its own to it. The
/// rules are here; transactions, threads and retries are its callers'. Confined to the
/// connection's thread.
protocol Ledger: AnyObject, SendableMetatype {
    associatedtype Connection: SQLConnection

    var connection: Connection { get }
    /// What stands before the names of tables: "", or a schema and its dot.
    var schema: String { get }
    /// Behind a SELECT whose rows are about to be changed: "" where the transaction is alone anyway.
    var forUpdate: String { get }
    /// The same, but rows that another transaction is at are left to it.
    var forUpdateOfFree: String { get }
    /// A condition on runs that this host may delete: whose log files are its own, or nobody's.
    var prunable: String { get }
    /// `count` numbers of one of the store-wide sequences, ascending. Holes are harmless; going back
    /// never happens.
    func allocate(_ name: String, _ count: Int) throws -> [Int64]
    /// The instant up to which waiting runs expire in this transaction: what a host's own clock says of another's run
    /// counts only where nobody else has one.
    func expiryClock(_ now: Instant) throws -> Instant
    /// Runs that something else than `expireWaiting` ended, in this call, because their time was over.
    var expiredBeside: [RunRecord] { get set }

    // What a database may have in another way: whoever calls it gets that one, also where he does not know which it is.

    func claimFires(_ claims: [FireClaim], owner: Owner, now: Instant) throws -> [ClaimedRun?]
    func releaseClaims(_ claims: [HeldClaim], owner: Owner, now: Instant) throws
    func complete(_ completions: [Completion], now: Instant) throws -> [Bool]
    func enqueue(_ requests: [NewRun], now: Instant) throws -> [(run: RunRecord, inserted: Bool)]
    /// Where a live run of its unique key or its due time keeps a run out: that one.
    func insertOrFind(_ runs: [RunRecord], now: Instant) throws -> [(run: RunRecord, inserted: Bool)]
    func drainInbox(jobs: [String: InboxRule], limit: Int, now: Instant) throws -> InboxResult
    func expireWaiting(limit: Int, now: Instant) throws -> [RunRecord]
    func acceptedLibraries() throws -> [AcceptedLibrary]
    func saveAcceptedLibrary(_ library: AcceptedLibrary) throws
    func reloads(before: Int64?, limit: Int) throws -> [ReloadRow]
    func saveReload(_ reload: ReloadRow) throws
    func put(breaker: BreakerRow, of job: String, now: Instant) throws
    /// The job's state as the attempt of `fence` leaves it.
    func saveState(job: String, _ state: Completion.StateWrite, fence: Int64, now: Instant) throws
    /// Adds `tally` to the counters, now or with the transaction's end.
    func count(_ tally: Tally) throws
    /// Deletes those that have ended, and says which.
    func delete(_ runs: [RunID]) throws -> Set<RunID>
    /// What the database says of itself, for `StoreCheck`.
    func engineFindings(_ format: StoreFormat, limit: Int) throws -> [StoreCheck.Finding]
    /// The newest ends of jobs' runs that are not in their `job_states`. `jobs` nil: of all.
    func otherEnds(of jobs: [String]?) throws -> [(job: String, finished: Instant, outcome: Outcome)]
}

/// Groups of states, as SQL. The partial indexes are written
/// with exactly these texts; SQLite uses an index only where the query repeats its condition.
enum StateSQL {
    static let live = "finished_at IS NULL"
    static let later = "state IN ('scheduled', 'retryable')"
    static let ready = "state = 'available'"
    static let running = "state = 'running'"
    static let waiting = "state IN ('scheduled', 'available', 'retryable')"
    static let terminal = "finished_at IS NOT NULL"
    /// Those with an end to their waiting, which few have.
    static let expiring = "expires_at IS NOT NULL AND finished_at IS NULL"
    /// A run that may still be started; with the instant of asking.
    static func unexpired(_ now: String) -> String { "(expires_at IS NULL OR expires_at > \(now))" }

    /// `state IN ('a', 'b')` of a closed vocabulary: its raw values need no quoting.
    static func any(of states: [RunState]) -> String {
        if states == [.discarded] { return "state = 'discarded'" }
        return "state IN (\(states.map { "'\($0.rawValue)'" }.joined(separator: ", ")))"
    }
}

/// Where a waiting run stands: the instant since which it waits, less one minute for each
/// priority. So one minute of waiting is worth one priority, and the order of two runs never
/// changes while they wait, which makes it a plain index.
enum Rank {
    static let perPriority: Int64 = 60_000_000

    static func of(availableAt: Instant, priority: Int) -> Int64 {
        availableAt.stored.saturatingSubtract(Int64(clamping: priority).stored.saturatingMultiply(perPriority))
    }
}

extension Int64 {
    /// Priorities beyond ±1,000,000 (two years of waiting) are as good as these.
    fileprivate var stored: Int64 { Swift.min(Swift.max(self, -1_000_000), 1_000_000) }
}

extension Instant {
    /// Kept away from the ends of Int64, where the arithmetic of SQL would leave the integers.
    var stored: Int64 { min(max(microseconds, -9_000_000_000_000_000_000), 9_000_000_000_000_000_000) }
}

extension Optional<Instant> {
    var stored: Int64? { self?.stored }
}

extension Optional<Bool> {
    var stored: Int64? { map { $0 ? 1 : 0 } }
}

/// Sums of one call, written once at its end: ten thousand runs of one job are one row each of
/// `counters` and `job_states`.
struct Tally {
    struct Key: Hashable, Comparable {
        var job: String
        var name: String
        static func < (left: Key, right: Key) -> Bool { (left.job, left.name) < (right.job, right.name) }
    }
    private(set) var counts: [Key: Int64] = [:]

    mutating func add(_ name: String, job: String, _ count: Int64 = 1) {
        counts[Key(job: job, name: name), default: 0].saturate(adding: count)
    }

    mutating func add(_ other: Tally) {
        for (key, count) in other.counts { counts[key, default: 0].saturate(adding: count) }
    }
}

extension Int64 {
    fileprivate mutating func saturate(adding other: Int64) { self = saturatingAdd(other) }
}
