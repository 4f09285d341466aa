import JobConfig
import JobCore
import JobStore

/// Decides what runs when, on this host. A pure state machine: events and `now` in, actions
/// out; it reads no clock and touches no store, worker or file. The supervisor performs the
/// actions and brings back what came of them.
///
/// A scheduled fire goes: *claimed* (durable, up to `preclaimLead` ahead) → *held* until its
/// instant → checked again → *submitted* to the process room → *running* → ended. A waiting run
/// (enqueued, retried, caught up, queued behind an overlap) goes: claimed when there is room →
/// submitted → running → ended.
struct Dispatcher {
    struct Settings {
        /// How far ahead a fire is claimed, so that no commit stands between instant and start.
        var preclaimLead = Duration.seconds(2)
        var lease = Duration.seconds(60)
        /// Fires that are refused for a lasting reason (paused, breaker) are recorded together,
        /// at most this late, and always before the reason changes.
        var refusalFlush = Duration.seconds(10)
        /// A store that failed is asked again after this long.
        var storeBackoff = Duration.milliseconds(250)
        /// false: fires nothing here.
        var schedules = true
        /// false: claims no waiting runs here.
        var consumes = true
        /// Seeds jitter of fires and retries.
        var seed: UInt64 = 0
    }

    enum Event {
        case tick
        case firesClaimed([FireClaim], [ClaimedRun?])
        case cursorsMoved([CursorMove], [Bool])
        /// The store could not be reached; the cursors stand where they stood.
        case accountingFailed(jobs: [String])
        case waitingClaimed(limits: [String: Int], [ClaimedRun])
        case waitingClaimFailed(jobs: [String])
        /// A run of the job waits from this instant on.
        case waiting(job: String, due: Instant)
        /// Runs of unknown jobs wait: look at every job.
        case sweep
        case started(run: RunID, at: Instant, pid: Int32, libraryHash: String)
        case progress(run: RunID, done: UInt64, total: UInt64, text: String)
        case ended(AttemptEnd)
        case returned(run: RunID)
        /// The store's row of a job, after a lost compare-and-set.
        case refreshed(job: String, JobStateRow)
    }

    var settings: Settings
    private(set) var generation: Int64 = 0
    private(set) var hostControl = ControlRow()
    /// Drain: nothing new starts.
    private(set) var isDraining = false
    private(set) var clock: ClockWatch

    var jobs: [DispatchedJob] = []
    var index: [String: Int] = [:]
    /// Job of every active run.
    var owners: [RunID: Int] = [:]
    var pools: [String: PoolLoad] = [:]
    /// Jobs that wait for the success of another.
    private var followers: [String: [String]] = [:]
    private var timeline = Timeline()

    /// Where the zone of an older, edited rule is found.
    private let zones: (any ZoneSource)?

    init(settings: Settings, zones: (any ZoneSource)? = nil, now: Now) {
        self.settings = settings
        self.zones = zones
        clock = ClockWatch(now: now)
    }

    // MARK: Events

    mutating func handle(_ event: Event, now: Now) -> DispatchActions {
        var out = DispatchActions()
        switch event {
        case .tick:
            observeClock(now, &out)
            while let due = timeline.popDue(now.wall) {
                guard jobs[due.job].wakeAt == due.at else { continue }
                jobs[due.job].wakeAt = nil
                consider(due.job, now, &out)
            }
        case .firesClaimed(let claims, let runs): firesClaimed(claims, runs, now, &out)
        case .cursorsMoved(let moves, let moved): cursorsMoved(moves, moved, now, &out)
        case .accountingFailed(let names):
            for i in indices(of: names) {
                jobs[i].isAccounting = false
                wake(i, at: now.wall + settings.storeBackoff)
            }
        case .waitingClaimed(let limits, let runs): waitingClaimed(limits, runs, now, &out)
        case .waitingClaimFailed(let names):
            for i in indices(of: names) {
                jobs[i].isClaimingWaiting = false
                jobs[i].noteWaiting(now.wall + settings.storeBackoff)
                wake(i, at: now.wall + settings.storeBackoff)
            }
        case .waiting(let job, let due):
            if let i = index[job] {
                jobs[i].noteWaiting(due)
                consider(i, now, &out)
            }
        case .sweep:
            for i in jobs.indices where !jobs[i].isRemoved {
                jobs[i].noteWaiting(now.wall)
                consider(i, now, &out)
            }
        case .started(let run, let at, let pid, let hash):
            guard let i = owners[run] else { break }
            jobs[i].active[run]?.phase = .running(since: at, pid: pid)
            jobs[i].active[run]?.libraryHash = hash
        case .progress(let run, let done, let total, let text):
            guard let i = owners[run] else { break }
            jobs[i].active[run]?.done = done
            jobs[i].active[run]?.total = total
            jobs[i].active[run]?.text = text
        case .ended(let end): attemptEnded(end, now, &out)
        case .returned(let run): attemptReturned(run, now, &out)
        case .refreshed(let job, let row):
            if let i = index[job] {
                jobs[i].schedule = newSchedule(jobs[i].plan, row, now)
                jobs[i].isAccounting = false
                consider(i, now, &out)
            }
        }
        out.wakeAt = wakeAt
        return out
    }

    // MARK: One job's turn

    /// Starts what is held and due, accounts for fires, claims what waits, and sets the job's
    /// next wake-up. Called whenever something about the job has changed.
    mutating func consider(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        startHeld(i, now, &out)
        if !isDraining && !clock.isHolding {
            if settings.schedules { accountFires(i, now, &out) }
            claimWaiting(i, now, &out)
        }
        if let next = nextLook(i, now) { wake(i, at: next) }
    }

    private func nextLook(_ i: Int, _ now: Now) -> Instant? {
        let job = jobs[i]
        var earliest: Instant?
        func propose(_ at: Instant) { earliest = min(earliest ?? at, at) }
        for run in job.active.values {
            if case .held(let until) = run.phase { propose(until) }
        }
        if clock.isHolding { propose(now.wall + .seconds(1)) }
        guard !isDraining, !job.isRemoved, !clock.isHolding else { return earliest }
        if settings.schedules, !job.isAccounting, let fire = job.schedule.nextFire() {
            if job.refusal(hostPaused: hostControl.paused, now: now.wall) != nil {
                propose(flushDue(job, fire, now.wall))
            } else if canPreclaim(i) {
                propose(max(fire - settings.preclaimLead, now.wall + .milliseconds(1)))
            } else {
                propose(max(fire, now.wall + .milliseconds(1)))
            }
        }
        if let due = job.waitingDue, due > now.wall { propose(due) }
        if let change = job.breaker?.nextChange, change > now.wall, job.waitingDue != nil { propose(change) }
        return earliest
    }

    /// When refused fires from `fire` on are to be recorded.
    func flushDue(_ job: DispatchedJob, _ fire: Instant, _ now: Instant) -> Instant {
        let regular = fire + settings.refusalFlush
        // Just before an open breaker lets a probe through by itself.
        guard let change = job.breaker?.nextChange, change > now else { return regular }
        return max(fire, min(regular, change - .milliseconds(1)))
    }

    /// When the dispatcher wants its next tick; nil: not at all.
    var wakeAt: Instant? { timeline.earliest }

    mutating func wake(_ i: Int, at: Instant) {
        if let current = jobs[i].wakeAt, current <= at { return }
        jobs[i].wakeAt = at
        timeline.insert(job: i, at: at)
    }

    func indices(of names: some Sequence<String>) -> [Int] { names.compactMap { index[$0] } }

    // MARK: Clock

    private mutating func observeClock(_ now: Now, _ out: inout DispatchActions) {
        switch clock.observe(now) {
        case .steady: return
        case .jumped(let by):
            let seconds = by.microseconds / 1_000_000
            out.notes.append(DispatchNote(
                kind: .rewound, job: "", run: nil,
                text: "the wall clock jumped by \(seconds)s; nothing fires for \(ClockWatch.holdFor.components.seconds)s"))
            // Every entry of the timeline was made by the old clock.
            rebuildTimeline(now)
        case .resumed:
            for i in jobs.indices where !jobs[i].isRemoved {
                let before = jobs[i].schedule.cursor
                if jobs[i].schedule.rewind(now: now.wall) {
                    out.moves.append(CursorMove(
                        job: jobs[i].name, expectedCursor: before, newCursor: jobs[i].schedule.cursor,
                        scheduleText: jobs[i].plan.schedule.text, rewind: true))
                    jobs[i].isAccounting = true
                    out.notes.append(DispatchNote(
                        kind: .rewound, job: jobs[i].name, run: nil,
                        text: "the cursor lay in the future (\(before.rfc3339)) and was set back to now"))
                }
            }
            rebuildTimeline(now)
        }
    }

    private mutating func rebuildTimeline(_ now: Now) {
        timeline.removeAll()
        for i in jobs.indices {
            jobs[i].wakeAt = nil
            wake(i, at: now.wall)
        }
    }

    // MARK: Generations and controls

    /// Switches to a generation. `rows` are the store's rows of jobs that appear for the first
    /// time in this life of the host; `states` their state blobs.
    mutating func apply(
        _ next: Generation, rows: [String: JobStateRow], states: [String: StateBlob], now: Now
    ) -> DispatchActions {
        var out = DispatchActions()
        generation = next.number
        var loads: [String: PoolLoad] = [:]
        for pool in next.pools {
            loads[pool.key] = pools[pool.key] ?? PoolLoad(maxWorkers: pool.maxWorkers)
            loads[pool.key]?.maxWorkers = pool.maxWorkers
        }
        pools = loads
        let chosen = next.jobs.filter { isChosen($0.value.config, only: next.config.host.only) }
        for i in jobs.indices where chosen[jobs[i].name] == nil { remove(i, now, &out) }
        for (name, plan) in chosen.sorted(by: { $0.key < $1.key }) {
            if let i = index[name] {
                update(i, plan, now, &out)
            } else {
                add(plan, rows[name], states[name], now, &out)
            }
        }
        followers = [:]
        for (name, plan) in chosen {
            if case .after(let other) = plan.schedule { followers[other, default: []].append(name) }
        }
        for i in jobs.indices { consider(i, now, &out) }
        out.wakeAt = wakeAt
        return out
    }

    private func isChosen(_ config: JobConfig, only: [String]) -> Bool {
        only.isEmpty || only.contains(config.name) || config.labels.contains(where: only.contains)
    }

    private mutating func add(
        _ plan: ResolvedJob, _ row: JobStateRow?, _ state: StateBlob?, _ now: Now, _ out: inout DispatchActions
    ) {
        let row = row ?? JobStateRow()
        var job = DispatchedJob(
            plan: plan, schedule: newSchedule(plan, row, now),
            breaker: plan.config.breaker.map { policy in
                row.breaker.flatMap { Breaker(encoded: $0.data, policy: policy) } ?? Breaker(policy: policy)
            },
            control: row.control, state: state)
        // The first look at the store's waiting runs.
        job.noteWaiting(now.wall)
        let needsCursor = row.cursor == nil
        if needsCursor {
            job.isAccounting = true
            out.moves.append(CursorMove(
                job: job.name, expectedCursor: nil, newCursor: job.schedule.cursor,
                scheduleText: plan.schedule.text))
        }
        index[job.name] = jobs.count
        jobs.append(job)
        if !needsCursor && !job.schedule.isSettled { settle(jobs.count - 1, now, &out) }
    }

    /// The schedule was edited while the host was down: the old rule accounts for its part now,
    /// and the store learns of the new one.
    private mutating func settle(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        if settings.schedules { accountFires(i, now, &out) }
        guard !jobs[i].isAccounting else { return }
        let accounting = jobs[i].schedule.account(upTo: now.wall, now: now.wall)
        guard accounting.fires.isEmpty else { return }
        jobs[i].isAccounting = true
        out.moves.append(CursorMove(
            job: jobs[i].name, expectedCursor: jobs[i].schedule.cursor, newCursor: accounting.cursor,
            scheduleText: jobs[i].plan.schedule.text, ranges: accounting.ranges))
    }

    private mutating func update(_ i: Int, _ plan: ResolvedJob, _ now: Now, _ out: inout DispatchActions) {
        flushRefused(i, now, &out)
        let old = jobs[i].plan
        jobs[i].plan = plan
        jobs[i].badSettings = nil
        if jobs[i].isRemoved {
            jobs[i].isRemoved = false
            jobs[i].noteWaiting(now.wall)
        }
        switch (jobs[i].breaker, plan.config.breaker) {
        case (_, nil): jobs[i].breaker = nil
        case (nil, let policy?): jobs[i].breaker = Breaker(policy: policy)
        case (_?, let policy?): jobs[i].breaker?.adopt(policy: policy)
        }
        let isSameRule = old.schedule == plan.schedule && old.zone == plan.zone && old.calendar == plan.calendar
            && old.calendarZone == plan.calendarZone && old.config.catchUp == plan.config.catchUp
            && old.config.jitter == plan.config.jitter
        guard !isSameRule else { return }
        replaceRule(i, now, &out)
    }

    /// Due times up to the switch were the old rule's; later ones are the new one's.
    private mutating func replaceRule(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        accountFires(i, now, &out)
        for (run, active) in jobs[i].active where active.isHeld && active.claim.fireTime > now.wall {
            drop(run, i)
            out.refusals.append((run, .reload))
        }
        let plan = jobs[i].plan
        jobs[i].schedule.replace(
            spec: plan.schedule, zone: plan.zone, catchUp: plan.config.catchUp,
            calendar: plan.calendar.map { ($0, plan.calendarZone) }, jitter: plan.config.jitter, now: now.wall)
        // The store learns of the new rule at once: after a restart the old one must not account
        // for times that were already the new one's. (An accounting under way carries it.)
        guard !jobs[i].isAccounting else { return }
        jobs[i].isAccounting = true
        out.moves.append(CursorMove(
            job: jobs[i].name, expectedCursor: jobs[i].schedule.cursor,
            newCursor: max(jobs[i].schedule.cursor, now.wall), scheduleText: plan.schedule.text))
    }

    private mutating func remove(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard !jobs[i].isRemoved else { return }
        jobs[i].isRemoved = true
        for (run, active) in jobs[i].active where active.isHeld {
            drop(run, i)
            out.refusals.append((run, .reload))
        }
    }

    private func newSchedule(_ plan: ResolvedJob, _ row: JobStateRow, _ now: Now) -> JobSchedule {
        JobSchedule(
            spec: plan.schedule, zone: plan.zone, catchUp: plan.config.catchUp,
            calendar: plan.calendar.map { ($0, plan.calendarZone) }, jitter: plan.config.jitter,
            seed: settings.seed ^ Self.hash(plan.config.name),
            saved: row.cursor == nil
                ? nil
                : JobSchedule.Saved(
                    cursor: row.cursor, scheduleText: row.scheduleText,
                    adaptiveInterval: row.adaptiveInterval, lastFinished: row.lastFinished),
            now: now.wall, zones: zones)
    }

    /// FNV-1a, so that equal schedules of different jobs are spread differently, and alike in
    /// every life of the host.
    private static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    mutating func setHostControl(_ control: ControlRow, now: Now) -> DispatchActions {
        var out = DispatchActions()
        // What was due until now is accounted under the old control.
        for i in jobs.indices { flushRefused(i, now, &out) }
        hostControl = control
        for i in jobs.indices { consider(i, now, &out) }
        out.wakeAt = wakeAt
        return out
    }

    mutating func setControl(job: String, _ control: ControlRow, now: Now) -> DispatchActions {
        var out = DispatchActions()
        guard let i = index[job] else { return out }
        flushRefused(i, now, &out)
        jobs[i].control = control
        consider(i, now, &out)
        out.wakeAt = wakeAt
        return out
    }

    /// Changes a job's breaker by an operator's hand; the new state is in the actions, to be saved.
    mutating func controlBreaker(
        job: String, now: Now, change: (inout Breaker) -> Void
    ) -> DispatchActions? {
        guard let i = index[job], jobs[i].breaker != nil else { return nil }
        var out = DispatchActions()
        flushRefused(i, now, &out)
        change(&jobs[i].breaker!)
        out.breakers.append((job, row(of: jobs[i].breaker!)))
        consider(i, now, &out)
        out.wakeAt = wakeAt
        return out
    }

    /// Nothing new starts; held claims are given back.
    mutating func drain(now: Now) -> DispatchActions {
        var out = DispatchActions()
        isDraining = true
        for i in jobs.indices {
            for (run, active) in jobs[i].active where active.isHeld {
                drop(run, i)
                out.releases.append((run, jobs[i].name))
            }
        }
        return out
    }

    func row(of breaker: Breaker) -> BreakerRow {
        BreakerRow(generation: breaker.generation, data: breaker.encoded)
    }

    func followers(of job: String) -> [String] { followers[job] ?? [] }
}

/// How busy a pool is, as far as the dispatcher's own claims go.
struct PoolLoad {
    var maxWorkers: Int
    /// Submitted and running.
    var busy = 0
    /// Jobs that wanted a worker and got none.
    var starved: Set<Int> = []
    /// Exponentially weighted mean of run times.
    var meanRun: Duration?

    init(maxWorkers: Int) { self.maxWorkers = maxWorkers }

    /// How many runs may be with the pool at once. Where runs are short, a queue before the
    /// workers keeps them busy while the store commits; where they are long it would only make
    /// a claimed run wait for a particular worker.
    var capacity: Int {
        guard let meanRun, meanRun < .milliseconds(20) else { return maxWorkers }
        return maxWorkers * 32
    }
    var free: Int { max(0, capacity - busy) }

    mutating func observe(run: Duration) {
        guard let mean = meanRun else {
            meanRun = run
            return
        }
        meanRun = .microseconds((mean.microseconds * 7 + run.microseconds) / 8)
    }
}
