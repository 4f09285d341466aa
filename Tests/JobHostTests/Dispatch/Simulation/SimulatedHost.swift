import JobConfig
import JobCore
import JobStore

@testable import JobHost

/// A dispatcher with a store and workers that live in a few dictionaries: claims are answered
/// by the rules of `Store`, time moves when the test says so. Nothing else than the pure
/// dispatcher decides anything.
struct SimulatedHost: ~Copyable {
    struct Row: Equatable {
        var job: String
        var trigger: Trigger
        var state: RunState
        var fireTime: Instant
        var availableAt: Instant
        var attempt: Int
        var fence: Int64
        var outcome: Outcome?
        var expiresAt: Instant?
        var maxAttempts: Int
    }

    var dispatcher: Dispatcher
    var now: Now
    var rows: [RunID: Row] = [:]
    var cursors: [String: Instant] = [:]
    /// The rule that each cursor belongs to.
    var texts: [String: String] = [:]
    var ranges: [String: [FireRange]] = [:]
    /// With the process room, in order of start.
    var started: [AttemptRequest] = []
    var startedAt: [RunID: Instant] = [:]
    /// Sent ahead, waiting with their workers for their instants.
    var ahead: [AttemptRequest] = []
    /// Asked back from there. `comeBack` answers.
    var takenBack: [RunID] = []
    var cancelled: [RunID] = []
    var notes: [DispatchNote] = []
    /// false: every call fails as unavailable.
    var storeAnswers = true
    /// true: calls are committed at once, but their answers wait for `answer()`.
    var answersLate = false
    private var lateAnswers: [Dispatcher.Event] = []
    /// What the dispatcher has asked the store for, in order.
    var claims: [FireClaim] = []
    var moves: [CursorMove] = []
    var asked: [[String: Int]] = []
    /// Jobs of which the rate allows no more until then.
    var rated: [String: Instant] = [:]
    private var nextID: Int64 = 0
    private var nextFence: Int64 = 0
    private var wakeAt: Instant?
    private var jobMaxAttempts: [RunID: Int] = [:]

    var isDrained: Bool { dispatcher.isDrained }

    init(at start: String, settings: Dispatcher.Settings = Dispatcher.Settings()) {
        let wall = Instant(rfc3339: start)!
        now = Now(wall: wall, monotonic: MonotonicInstant(microseconds: 1_000_000))
        dispatcher = Dispatcher(settings: settings, now: now)
    }

    // MARK: Driving

    mutating func apply(
        _ jobs: [JobConfig], idempotent: Bool = true, workers: Int = 4, generation: Int64 = 1,
        rows: [String: JobStateRow] = [:], waitingFires: [WaitingFire] = [], only: [String] = []
    ) {
        for (job, row) in rows { cursors[job] = row.cursor }
        perform(dispatcher.apply(
            Self.generation(jobs, idempotent: idempotent, workers: workers, number: generation, only: only),
            rows: rows, states: [:], waitingFires: waitingFires, now: now))
    }

    /// Delivers the answers that are late, and what follows from them at once.
    mutating func answer() {
        answersLate = false
        let answers = lateAnswers
        lateAnswers = []
        for answer in answers { send(answer) }
    }

    private mutating func reply(_ event: Dispatcher.Event) {
        if answersLate { lateAnswers.append(event) } else { send(event) }
    }

    mutating func send(_ event: Dispatcher.Event) { perform(dispatcher.handle(event, now: now)) }

    /// Moves both clocks, ticking whenever the dispatcher wanted to be woken.
    mutating func advance(to text: String) { advance(to: Instant(rfc3339: text)!) }

    mutating func advance(by duration: Duration) { advance(to: now.wall + duration) }

    mutating func advance(to target: Instant) {
        while let wake = wakeAt, wake <= target {
            step(to: max(wake, now.wall))
            send(.tick)
        }
        step(to: target)
        send(.tick)
    }

    private mutating func step(to wall: Instant) {
        now = Now(wall: wall, monotonic: now.monotonic + (wall - now.wall))
        for request in ahead where request.notBefore.map({ $0 <= now.wall }) ?? true {
            ahead.removeAll { $0.run == request.run }
            started.append(request)
            startedAt[request.run] = request.notBefore
        }
    }

    /// Workers give back what they have not begun: what they were asked for, or this.
    mutating func comeBack(_ runs: [RunID]? = nil) {
        for run in runs ?? takenBack where ahead.contains(where: { $0.run == run }) {
            ahead.removeAll { $0.run == run }
            send(.returned(run: run))
        }
        takenBack = []
    }

    /// Sets the wall clock without time passing.
    mutating func setClock(_ text: String) {
        now.wall = Instant(rfc3339: text)!
        send(.tick)
    }

    /// Ends the oldest run that is with the room.
    mutating func end(_ outcome: Outcome, items: UInt64 = 0, snoozeUntil: Instant? = nil) {
        guard var end = takeEnd(outcome) else { return }
        end.items = items
        end.snoozeUntil = snoozeUntil
        send(.ended([end]))
    }

    /// Ends the oldest runs that are with the room, all in one turn.
    mutating func end(together outcomes: [Outcome]) {
        var ends: [AttemptEnd] = []
        for outcome in outcomes { if let end = takeEnd(outcome) { ends.append(end) } }
        send(.ended(ends))
    }

    private mutating func takeEnd(_ outcome: Outcome) -> AttemptEnd? {
        guard let request = started.first else { return nil }
        started.removeFirst()
        return AttemptEnd(
            run: request.run, job: request.job, outcome: outcome, startedAt: startedAt[request.run], finishedAt: now.wall)
    }

    mutating func enqueue(_ job: String, at due: Instant? = nil, trigger: Trigger = .enqueued, maxAttempts: Int = 4, expires: Instant? = nil) {
        let due = due ?? now.wall
        let id = insert(job, trigger, due, state: due > now.wall ? .scheduled : .available, maxAttempts: maxAttempts)
        rows[id]?.expiresAt = expires
        send(.waiting(job: job, due: due))
    }

    // MARK: The store

    mutating func perform(_ actions: DispatchActions) {
        wakeAt = actions.wakeAt
        notes += actions.notes
        for request in actions.starts {
            guard request.notBefore == nil else {
                ahead.append(request)
                continue
            }
            started.append(request)
            startedAt[request.run] = now.wall
        }
        takenBack += actions.takeBacks
        cancelled += actions.cancels.map(\.run)
        for refusal in actions.refusals { rows[refusal.claim.run]?.state = refusal.reason.state }
        for (_, completion) in actions.completions { complete(completion) }
        for claim in actions.releases {
            rows[claim.run]?.state = .available
            rows[claim.run]?.attempt -= 1
            send(.released(jobs: [claim.job]))
            send(.waiting(job: claim.job, due: rows[claim.run]?.fireTime ?? now.wall))
        }
        claims += actions.claims
        moves += actions.moves
        if !actions.waiting.isEmpty { asked.append(actions.waiting) }
        guard storeAnswers else {
            let accounting = actions.claims.map(\.job) + actions.moves.map(\.job)
            if !accounting.isEmpty { reply(.accountingFailed(jobs: accounting)) }
            if !actions.waiting.isEmpty { reply(.waitingClaimFailed(jobs: Array(actions.waiting.keys))) }
            return
        }
        if !actions.claims.isEmpty { reply(.firesClaimed(actions.claims, actions.claims.map { claim($0) })) }
        if !actions.moves.isEmpty { reply(.cursorsMoved(actions.moves, actions.moves.map { move($0) })) }
        if !actions.waiting.isEmpty {
            let full = rated.filter { actions.waiting[$0.key] != nil && $0.value > now.wall }
            let runs = claimWaiting(actions.waiting.filter { full[$0.key] == nil })
            let gone = rows.filter { full[$0.value.job] != nil && $0.value.state.isTerminal }
            reply(.waitingClaimed(limits: actions.waiting, WaitingClaims(runs, rated: full, gone: Set(gone.keys))))
        }
    }

    @discardableResult
    private mutating func insert(
        _ job: String, _ trigger: Trigger, _ fire: Instant, state: RunState, maxAttempts: Int
    ) -> RunID {
        nextID += 1
        let id = RunID(nextID)
        rows[id] = Row(job: job, trigger: trigger, state: state, fireTime: fire, availableAt: fire, attempt: 0, fence: 0, maxAttempts: maxAttempts)
        return id
    }

    private mutating func claim(_ claim: FireClaim) -> ClaimedRun? {
        guard cursors[claim.job] == claim.expectedCursor else { return nil }
        cursors[claim.job] = claim.newCursor
        texts[claim.job] = claim.scheduleText
        ranges[claim.job, default: []] += claim.ranges
        let id = insert(
            claim.job, claim.trigger, claim.fireTime, state: .available, maxAttempts: claim.maxAttempts)
        if claim.waits { return view(id) }
        return take(id)
    }

    private mutating func move(_ move: CursorMove) -> Bool {
        guard cursors[move.job] == move.expectedCursor else { return false }
        cursors[move.job] = move.newCursor
        texts[move.job] = move.scheduleText
        ranges[move.job, default: []] += move.ranges
        return true
    }

    private mutating func claimWaiting(_ limits: [String: Int]) -> [ClaimedRun] {
        var left = limits
        var claimed: [ClaimedRun] = []
        for (id, row) in rows.sorted(by: { $0.key < $1.key }) {
            let waits = [.available, .scheduled, .retryable].contains(row.state) && row.availableAt <= now.wall
                && row.expiresAt.map { $0 > now.wall } ?? true
            guard waits, left[row.job, default: 0] > 0 else { continue }
            left[row.job]! -= 1
            claimed.append(take(id))
        }
        return claimed
    }

    private mutating func take(_ id: RunID) -> ClaimedRun {
        nextFence += 1
        rows[id]!.state = .running
        rows[id]!.attempt += 1
        rows[id]!.fence = nextFence
        return view(id)
    }

    private func view(_ id: RunID) -> ClaimedRun {
        let row = rows[id]!
        var run = ClaimedRun(
            id: id, job: row.job, trigger: row.trigger, fireTime: row.fireTime, attempt: row.attempt,
            maxAttempts: row.maxAttempts, fence: row.fence, priority: 0,
            idempotencyKey: "run-\(id)", payload: [])
        run.expiresAt = row.expiresAt
        return run
    }

    private mutating func complete(_ completion: Completion) {
        rows[completion.run]!.state = completion.state
        rows[completion.run]!.outcome = completion.outcome
        if !completion.countsAttempt { rows[completion.run]!.attempt -= 1 }
        let job = rows[completion.run]!.job
        for run in completion.enqueues {
            insert(run.job, run.trigger, run.fireTime, state: .available, maxAttempts: run.maxAttempts)
        }
        if let due = completion.availableAt {
            rows[completion.run]!.availableAt = due
            send(.waiting(job: job, due: due))
        }
        for run in completion.enqueues { send(.waiting(job: run.job, due: run.fireTime)) }
    }

    // MARK: Reading

    func runs(_ job: String, _ states: RunState...) -> [Row] {
        rows.sorted { $0.key < $1.key }.map(\.value).filter { $0.job == job && (states.isEmpty || states.contains($0.state)) }
    }

    /// "07:00:05" of each start so far, in order.
    func fires(_ job: String) -> [String] {
        rows.sorted { $0.key < $1.key }.filter { $0.value.job == job && startedAt[$0.key] != nil }
            .map { String($0.value.fireTime.rfc3339.dropFirst(11).prefix(8)) }
    }

    /// Every due time is in exactly one entry: rows of scheduled fires plus what ranges count.
    func ledgerCount(_ job: String) -> Int64 {
        let fires = rows.values.count { $0.job == job && ($0.trigger == .schedule || $0.trigger == .catchUp) }
        return Int64(fires) + (ranges[job] ?? []).reduce(0) { $0 + $1.count }
    }

    // MARK: Making configs

    static func job(_ name: String, _ schedule: ScheduleSpec, _ change: (inout JobConfig) -> Void = { _ in }) -> JobConfig {
        var config = JobConfig(
            name: name, plugin: "p", entry: "run", position: SourcePosition(file: "jobs.toml", line: 1, column: 1))
        config.schedule = schedule
        config.timeout = .seconds(30)
        change(&config)
        return config
    }

    static func generation(_ jobs: [JobConfig], idempotent: Bool, workers: Int, number: Int64, only: [String] = []) -> Generation {
        let host = HostSettings(name: "test", stateDir: "/nowhere", pluginDirs: [], only: only)
        let config = HostConfig(
            file: "/nowhere/jobs.toml", host: host, store: StoreSettings(url: "sqlite:"), http: HTTPSettings())
        let resolved = Dictionary(uniqueKeysWithValues: jobs.map { job in
            (job.name, plan(job, idempotent: idempotent, library: "h\(number)"))
        })
        let pools = Set(resolved.values.map(\.pool)).sorted().map { key in
            PoolSpec(
                key: key, plugin: "p", library: LibraryCopy(sha256: "h\(number)", path: "/nowhere/p.so"), maxWorkers: workers)
        }
        return Generation(number: number, config: config, plugins: [:], jobs: resolved, pools: pools)
    }

    static func plan(_ job: JobConfig, idempotent: Bool, library: String) -> ResolvedJob {
        let entry = EntryDescriptor(
            id: "run", description: "", idempotent: idempotent, cancellable: true, defaultSchedule: "",
            settingsSchema: "", payloadSchema: "", stateVersion: 0)
        return ResolvedJob(
            config: job, entry: entry, pool: PoolPlan.key(of: job), libraryHash: library, settings: Array("{}".utf8),
            maskedSettings: "{}", schedule: job.schedule ?? .none, zone: .utc, calendar: nil, calendarZone: .utc)
    }
}
