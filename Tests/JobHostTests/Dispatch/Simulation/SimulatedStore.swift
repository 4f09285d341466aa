import JobCore
import JobStore

@testable import JobHost

/// The rules of `Store` over a few dictionaries, with the checks that a ledger must stand: each
/// transaction accounts for exactly the due times between the old cursor and the new one.
struct SimulatedStore {
    struct Row {
        var job: String
        var trigger: Trigger
        var state: RunState
        var fireTime: Instant
        var availableAt: Instant
        var createdAt: Instant
        var attempt = 0
        var maxAttempts: Int
        var fence: Int64 = 0
        var epoch = 0
        var idempotent = true
        var outcome: Outcome?
        var reason: NoRunReason?
        func isLiveFire(_ job: String, _ fire: Instant) -> Bool {
            fireTime == fire && self.job == job && isFire && !state.isTerminal
        }
        var isFire: Bool { trigger == .schedule || trigger == .catchUp }
    }

    /// A rule, and the instant after which it is in force.
    struct Era {
        var after: Instant
        var spec: ScheduleSpec
        /// When the config came, by the wall clock.
        var edited = Instant.distantPast
        /// Transactions asked for before this number still followed the rule before.
        var since: Int
    }

    private(set) var rows: [RunID: Row] = [:]
    /// Those that have not ended, by job.
    private(set) var liveRuns: [String: Set<RunID>] = [:]
    var live: [RunID] { liveRuns.values.flatMap(\.self).sorted() }
    var states: [String: JobStateRow] = [:]
    var hostControl = ControlRow()
    /// By the host's clock.
    var now = Instant.distantPast
    var ranges: [String: [FireRange]] = [:]
    /// Jobs that pass some due times again, since the clock was set back.
    var rewound: Set<String> = []
    var eras: [String: [Era]] = [:]
    /// The rules that what was asked for before `until` goes by.
    private var replaced: [String: (eras: [Era], until: Int)] = [:]
    /// What a rule was broken by; the first is what counts.
    var violations: [String] = []
    private var nextID: Int64 = 0
    private var nextFence: Int64 = 0

    // MARK: Cursors

    /// Claims of one job form a chain: each expects the cursor where the one before left it.
    mutating func claimFires(_ claims: [FireClaim], epoch: Int, asked: Int) -> [ClaimedRun?] {
        for (job, chain) in Dictionary(grouping: claims, by: \.job) {
            guard let from = states[job]?.cursor, from == chain[0].expectedCursor else { continue }
            account(
                job, from: from, to: chain[chain.count - 1].newCursor, fires: chain.map(\.fireTime),
                ranges: chain.flatMap(\.ranges), asked: asked)
        }
        return claims.map { claim($0, epoch: epoch) }
    }

    private mutating func claim(_ claim: FireClaim, epoch: Int) -> ClaimedRun? {
        guard let cursor = states[claim.job]?.cursor, cursor == claim.expectedCursor else { return nil }
        move(claim.job, to: claim.newCursor, text: claim.scheduleText)
        ranges[claim.job, default: []] += claim.ranges
        let hasLive = liveRuns[claim.job]?.contains { rows[$0]!.isLiveFire(claim.job, claim.fireTime) } == true
        guard !hasLive else { return nil }
        let id = insert(
            claim.job, claim.trigger, claim.fireTime, state: .available, maxAttempts: claim.maxAttempts)
        return claim.waits ? view(id) : take(id, epoch: epoch)
    }

    mutating func move(_ move: CursorMove, asked: Int) -> Bool {
        let stored = states[move.job]?.cursor
        guard stored == move.expectedCursor else { return false }
        if let cursor = stored, move.newCursor < cursor {
            guard move.rewind else { return false }
            rewound.insert(move.job)
            // What was accounted for will be due again, by the rule of then and those that came since.
            let eras = eras[move.job] ?? []
            let later = eras.filter { $0.since > asked }
            self.eras[move.job] = eras.last { $0.since <= asked }.map { rule in
                [Era(after: move.newCursor, spec: rule.spec, since: rule.since)]
                    + later.map { Era(after: max(move.newCursor, $0.edited), spec: $0.spec, edited: $0.edited, since: $0.since) }
            }
        } else if let cursor = stored {
            account(move.job, from: cursor, to: move.newCursor, fires: [], ranges: move.ranges, asked: asked)
        }
        self.move(move.job, to: move.newCursor, text: move.scheduleText)
        ranges[move.job, default: []] += move.ranges
        return true
    }

    private mutating func move(_ job: String, to cursor: Instant, text: String) {
        states[job, default: JobStateRow()].cursor = cursor
        states[job]?.scheduleText = text
    }

    /// A config with another rule for this job has come into force.
    mutating func begin(_ job: String, _ spec: ScheduleSpec, asked: Int, now: Instant) {
        if let last = eras[job]?.last, last.spec == spec { return }
        let start = max(now, states[job]?.cursor ?? now)
        // An earlier edit that lies ahead, where the clock was set back in between, never comes into force; what
        // was asked for before that is by the rules of then.
        if let former = eras[job], former.contains(where: { $0.after > start }) { replaced[job] = (former, asked) }
        eras[job, default: []].removeAll { $0.after > start }
        eras[job, default: []].append(Era(after: start, spec: spec, edited: now, since: asked))
    }

    /// A host that starts knows the rule that stands in the store, and the one of its config.
    mutating func beginLife(_ job: String, _ spec: ScheduleSpec, asked: Int, now: Instant) {
        guard let state = states[job], let cursor = state.cursor, let stored = ScheduleSpec(text: state.scheduleText)
        else { return eras[job] = [Era(after: now, spec: spec, since: asked)] }
        eras[job] = [Era(after: .distantPast, spec: stored, since: 0)]
        if stored != spec { eras[job]?.append(Era(after: max(now, cursor), spec: spec, edited: now, since: asked)) }
    }

    /// Every due time up to `to` must be here exactly once, and nothing else.
    private mutating func account(
        _ job: String, from: Instant, to: Instant, fires: [Instant], ranges: [FireRange], asked: Int
    ) {
        if let former = replaced[job], asked < former.until {
            return compare(job, former.eras, from: from, to: to, fires: fires, ranges: ranges)
        }
        guard var eras = eras[job] else { return }
        if let last = eras.indices.last, last > 0, asked < eras[last].since, to > eras[last].after { eras[last].after = to }
        self.eras[job] = eras
        compare(job, eras, from: from, to: to, fires: fires, ranges: ranges)
    }

    private mutating func compare(
        _ job: String, _ eras: [Era], from: Instant, to: Instant, fires: [Instant], ranges: [FireRange]
    ) {
        guard let due = dueTimes(eras, after: from, upTo: to) else { return }
        let counted = ranges.reduce(Int64(0)) { $0 + $1.count }
        if Int64(due.count) != Int64(fires.count) + counted {
            violations.append(
                "\(job): \(due.count) due times \(due.prefix(5).map { clock($0) }) after \(clock(from)) up to \(clock(to)), but "
                    + "\(fires.map { clock($0) }) claimed, and ranges \(ranges.map { "\($0.reason) \(clock($0.first))…\(clock($0.last)) (\($0.count))" })")
        }
        for fire in fires where !due.contains(fire) {
            violations.append("\(job): \(clock(fire)) was claimed and is no due time of \(eras.map(\.spec.text))")
        }
    }

    /// nil: the rule's due times depend on runs.
    func dueTimes(_ eras: [Era], after from: Instant, upTo to: Instant) -> [Instant]? {
        var due: [Instant] = []
        for (position, era) in eras.enumerated() {
            let end = position + 1 < eras.count ? min(eras[position + 1].after, to) : to
            let start = max(era.after, from)
            guard start < end else { continue }
            guard let times = DueTimesModel.times(of: era.spec, after: start, upTo: end) else { return nil }
            due += times
            // A jump over years of a clock: counting them is not the point.
            if due.count > 20_000 { return nil }
        }
        return due
    }

    private func clock(_ instant: Instant) -> String { String(instant.rfc3339.dropFirst(11).prefix(12)) }

    // MARK: Runs

    mutating func insert(
        _ job: String, _ trigger: Trigger, _ due: Instant, state: RunState, maxAttempts: Int
    ) -> RunID {
        nextID += 1
        let id = RunID(nextID)
        rows[id] = Row(
            job: job, trigger: trigger, state: state, fireTime: due, availableAt: due, createdAt: now, maxAttempts: maxAttempts)
        liveRuns[job, default: []].insert(id)
        return id
    }

    mutating func claimWaiting(_ limits: [String: Int], epoch: Int, now: Instant) -> [ClaimedRun] {
        var claimed: [RunID] = []
        for (job, limit) in limits {
            claimed += (liveRuns[job] ?? []).filter { waits(rows[$0]!, now) }.sorted().prefix(limit)
        }
        return claimed.sorted().map { take($0, epoch: epoch) }
    }

    func waitingFires(upTo horizon: Instant) -> [WaitingFire] {
        live.compactMap { id in
            guard let row = rows[id], row.isFire, row.attempt == 0, waits(row, horizon) else { return nil }
            return WaitingFire(run: id, job: row.job, trigger: row.trigger)
        }
    }

    func waits(_ row: Row, _ now: Instant) -> Bool {
        [.available, .scheduled, .retryable].contains(row.state) && row.availableAt <= now
    }

    func isWaiting(_ now: Instant) -> Bool { !waitingJobs(now).isEmpty }

    func waitingJobs(_ now: Instant) -> [String] {
        liveRuns.filter { $0.value.contains { waits(rows[$0]!, now) } }.keys.sorted()
    }

    /// Claims of a life of the host.
    func claims(of epoch: Int) -> [HeldClaim] {
        live.compactMap { id in
            guard let row = rows[id], row.state == .running, row.epoch == epoch else { return nil }
            return HeldClaim(run: id, job: row.job, fence: row.fence)
        }
    }

    /// As a host reads it that begins.
    func record(_ id: RunID, _ row: Row) -> RunRecord {
        RunRecord(
            id: id, job: row.job, trigger: row.trigger, state: row.state, outcome: row.outcome, fireTime: row.fireTime,
            availableAt: row.availableAt, createdAt: row.createdAt, startedAt: nil, finishedAt: nil, attempt: row.attempt,
            maxAttempts: row.maxAttempts, priority: 0, fence: row.fence, owner: "test", epoch: "\(row.epoch)", pid: 0, libraryHash: "",
            generation: 0, reason: "", code: 0, items: 0, cpuMicroseconds: 0, uniqueKey: nil, idempotencyKey: "run-\(id)", retryOf: nil,
            payload: "")
    }

    private mutating func take(_ id: RunID, epoch: Int) -> ClaimedRun {
        nextFence += 1
        rows[id]!.state = .running
        rows[id]!.attempt += 1
        rows[id]!.fence = nextFence
        rows[id]!.epoch = epoch
        return view(id)
    }

    private func view(_ id: RunID) -> ClaimedRun {
        let row = rows[id]!
        return ClaimedRun(
            id: id, job: row.job, trigger: row.trigger, fireTime: row.fireTime, attempt: row.attempt,
            maxAttempts: row.maxAttempts, fence: row.fence, priority: 0, idempotencyKey: "run-\(id)", payload: [])
    }

    mutating func release(_ claim: HeldClaim, epoch: Int) {
        let run = claim.run
        guard let row = rows[run], row.state == .running, row.epoch == epoch, row.fence == claim.fence else { return }
        rows[run]!.state = .available
        rows[run]!.attempt = max(0, row.attempt - 1)
    }

    mutating func refuse(_ refusal: Refusal, epoch: Int) {
        let run = refusal.claim.run
        guard let row = rows[run], row.state == .running, row.epoch == epoch, row.fence == refusal.claim.fence else { return }
        rows[run]!.state = refusal.reason.state
        rows[run]!.reason = refusal.reason
        liveRuns[row.job]?.remove(run)
    }

    mutating func complete(_ completion: Completion, now: Instant) -> Bool {
        guard let row = rows[completion.run], row.state == .running, row.fence == completion.fence else { return false }
        rows[completion.run]!.state = completion.state
        rows[completion.run]!.outcome = completion.outcome
        if completion.state.isTerminal { liveRuns[row.job]?.remove(completion.run) }
        if !completion.countsAttempt { rows[completion.run]!.attempt = max(0, row.attempt - 1) }
        if let due = completion.availableAt { rows[completion.run]!.availableAt = due }
        states[row.job, default: JobStateRow()].adaptiveInterval = completion.adaptiveInterval
        if completion.state.isTerminal { states[row.job]!.lastFinished = completion.finishedAt }
        if let breaker = completion.breaker, let next = BreakerRow.after(breaker, on: states[row.job]!.breaker) {
            states[row.job]!.breaker = next
        }
        for run in completion.enqueues {
            _ = insert(
                run.job, run.trigger, run.fireTime, state: run.fireTime > now ? .scheduled : .available,
                maxAttempts: run.maxAttempts)
        }
        return true
    }
}
