import JobCore
import JobStore

/// The rules that every store keeps. One instance per rule: `store` is empty at its start.
///
/// Runs on every implementation; each rule is one function in an extension, listed in `rules`.
public struct StoreSuite: Sendable {
    public var store: any Store

    public init(store: any Store) { self.store = store }

    /// One rule, by the sentence that it proves.
    public struct Rule: Sendable, CustomStringConvertible {
        public var description: String
        public var check: @Sendable (StoreSuite) async throws -> Void

        init(_ description: String, _ check: @escaping @Sendable (StoreSuite) async throws -> Void) {
            self.description = description
            self.check = check
        }
    }

    public static let rules = cursorRules + completionRules + queueRules + expiryRules + operatorRules + recordRules
}

// MARK: Literal instants and the usual requests

extension StoreSuite {
    /// 2025-12-01T00:00:00Z.
    static let midnight = Instant(seconds: 1_764_547_200)
    static let owner = Owner(host: "alpha", epoch: "life-1")
    static let operations = Actor(name: "ops (uid 1000)", via: "cli", reason: "maintenance")

    static func at(_ seconds: Int64) -> Instant { midnight + .seconds(seconds) }

    /// The fire `fire` seconds after midnight, behind the cursor at `from`.
    static func claim(_ job: String = "candles", fire: Int64, from: Int64?, ranges: [FireRange] = [], waits: Bool = false) -> FireClaim {
        FireClaim(
            job: job, fireTime: at(fire), trigger: .schedule, maxAttempts: 3, generation: 7, leaseUntil: at(fire + 60),
            expectedCursor: from.map(at), newCursor: at(fire), scheduleText: "every 1s", ranges: ranges, waits: waits)
    }

    static func move(_ job: String = "candles", to: Int64, from: Int64?, ranges: [FireRange] = []) -> CursorMove {
        CursorMove(
            job: job, expectedCursor: from.map(at), newCursor: at(to), scheduleText: "every 1s", ranges: ranges)
    }

    static func range(_ reason: NoRunReason, _ first: Int64, _ last: Int64, count: Int64) -> FireRange {
        FireRange(reason: reason, first: at(first), last: at(last), count: count)
    }

    static func end(_ run: ClaimedRun, _ outcome: Outcome, _ state: RunState, at seconds: Int64) -> Completion {
        var completion = Completion(run: run.id, fence: run.fence, outcome: outcome, state: state, finishedAt: at(seconds))
        completion.job = run.job
        completion.startedAt = at(seconds - 1)
        completion.pid = 4_711
        completion.libraryHash = "cafe"
        return completion
    }

    static func request(_ job: String = "mint", at seconds: Int64 = 0, key: String? = nil, priority: Int = 0) -> NewRun {
        var request = NewRun(job: job, trigger: .enqueued, fireTime: at(seconds))
        request.payload = Array(#"{"assetId":7}"#.utf8)
        request.uniqueKey = key
        request.priority = priority
        return request
    }

    /// Claims the fire and insists that it worked.
    func claimed(_ claim: FireClaim) async throws -> ClaimedRun {
        let runs = try await store.claimFires([claim], owner: Self.owner, now: claim.fireTime)
        return try required(runs.first ?? nil, "the claim of \(claim.job) at \(claim.fireTime) was refused")
    }

    /// Enqueues one run and insists that it is new.
    @discardableResult
    func enqueued(_ request: NewRun, now: Int64 = 0) async throws -> RunRecord {
        let result = try await store.enqueue([request], now: Self.at(now))
        let entry = try required(result.first, "enqueue returned nothing")
        try demand(entry.inserted, "a run was there already: \(entry.run.id)")
        return entry.run
    }

    func waiting(_ job: String = "mint", limit: Int = 1, now: Int64) async throws -> [ClaimedRun] {
        try await store.claimWaiting(limits: [job: limit], owner: Self.owner, now: Self.at(now))
    }

    func record(_ id: RunID) async throws -> RunRecord {
        try required(try await store.run(id), "there is no run \(id)")
    }
}

// MARK: Demands

/// A rule that does not hold.
public struct BrokenRule: Error, CustomStringConvertible {
    public var description: String
}

/// The demands of the suite throw, so that it needs no test library and a failure ends the rule.
func demand(_ condition: Bool, _ sentence: @autoclosure () -> String, line: Int = #line, file: String = #fileID) throws {
    if !condition { throw BrokenRule(description: "\(sentence()) (\(file):\(line))") }
}

func equal<Value: Equatable>(_ found: Value, _ wanted: Value, line: Int = #line, file: String = #fileID) throws {
    if found != wanted { throw BrokenRule(description: "found \(found), wanted \(wanted) (\(file):\(line))") }
}

func required<Value>(_ value: Value?, _ sentence: @autoclosure () -> String, line: Int = #line, file: String = #fileID) throws -> Value {
    guard let value else { throw BrokenRule(description: "\(sentence()) (\(file):\(line))") }
    return value
}

/// The call has to throw a `StoreError` of this kind.
func refused(_ kind: StoreError.Kind, line: Int = #line, file: String = #fileID, _ call: () async throws -> Void) async throws {
    do {
        try await call()
    } catch let error as StoreError {
        return try equal(error.kind, kind, line: line, file: file)
    }
    throw BrokenRule(description: "nothing was thrown, wanted \(kind) (\(file):\(line))")
}
