import JobConfig
import JobCore
import JobStore

/// Decides what runs when, on this host. A pure state machine: events and `now` in, actions
/// out; it reads no clock and touches no store, worker or file. The supervisor performs the
/// actions and brings back what came of them.
///
/// A scheduled fire goes: *claimed* (durable, up to `preclaimLead` ahead) → *held* until its
/// instant → checked again → *submitted* to the process room → *running* → ended. Where nothing but time stands between it
/// and its start it is *sent* to its worker up to `sendLead` ahead, which begins it at the instant (Dispatcher+Ahead.swift). A waiting run
/// (enqueued, retried, caught up, queued behind an overlap) goes: claimed when there is room, short ones
/// some ahead (*ready*) → submitted → running → ended.
struct Dispatcher: ~Copyable {
    struct Settings {
        /// How far ahead a fire is claimed at most, so that no commit stands between instant and start. No whole
        /// second: fires fall on whole seconds, and what is done for the next one is not to compete with the runs of
        /// the one before. See `preclaimLead(_:for:)`.
        var preclaimLead = Duration.milliseconds(1_700)
        /// How far ahead of its instant a held run goes to its worker; zero: at the instant. Less than
        /// `Heartbeat.slack - Heartbeat.period`: what a worker begins was sent by a life of which the heartbeat tells.
        var sendLead = Duration.zero
        var lease = Duration.seconds(60)
        /// Fires that are refused for a lasting reason (paused, breaker) are recorded together,
        /// at most this late, and always before the reason changes.
        var refusalFlush = Duration.seconds(10)
        /// A store that failed is asked again after this long.
        var storeBackoff = Duration.milliseconds(250)
        /// How long a fire is left to the host whose runs of the job are under way.
        var otherHostsLead = Duration.milliseconds(50)
        /// Other hosts may serve what this one does not.
        var isShared = false
        /// false: fires nothing here.
        var schedules = true
        /// false: claims no waiting runs here, whatever made them wait.
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
        case waitingClaimed(limits: [String: Int], WaitingClaims)
        case waitingClaimFailed(jobs: [String])
        /// Claims of these jobs are back in the store, and count towards no rate any more.
        case released(jobs: [String])
        /// A run of the job waits from this instant on.
        case waiting(job: String, due: Instant)
        /// Runs of these jobs wait and are due.
        case wait(jobs: [String])
        /// Runs of unknown jobs wait: look at every job.
        case sweep
        case started(run: RunID, at: Instant, pid: Int32, libraryHash: String)
        case progress(run: RunID, done: UInt64, total: UInt64, text: String)
        /// Attempts whose ends were heard together, in their order.
        case ended([AttemptEnd])
        case returned(run: RunID)
        /// Its worker was killed and does not end.
        case stuck(run: RunID)
        /// The store's row of a job, after a lost compare-and-set.
        case refreshed(job: String, JobStateRow)
    }

    var settings: Settings
    private(set) var generation: Int64 = 0
    private(set) var hostControl = ControlRow()
    /// Drain: nothing new starts.
    private(set) var isDraining = false
    /// See `suspend`.
    var isSuspended = false
    var clock: ClockWatch

    var jobs: [DispatchedJob] = []
    var index: [String: Int] = [:]
    /// Places of `jobs` that are free for others.
    var vacant: [Int] = []
    /// Job of every active run.
    var owners: [RunID: Int] = [:]
    var pools: [String: PoolLoad] = [:]
    /// The store is being asked for waiting runs. One question at a time, so that what comes
    /// meanwhile goes out as one.
    var isAsking = false
    /// Of the answers.
    var pace = ClaimPace()
    /// Pools with jobs in their queue, to be served when the store has answered.
    var unserved: Set<String> = []
    /// Jobs that wait for the success of another.
    private var followers: [String: [String]] = [:]
    /// Those of them that other hosts serve.
    private var followersElsewhere: [String: ResolvedJob] = [:]
    /// What operators have said of jobs, those of other hosts too.
    var controlsElsewhere: [String: ControlRow] = [:]
    var timeline = Timeline()

    /// Where the zone of an older, edited rule is found.
    private let zones: (any ZoneSource)?

    init(settings: Settings, zones: (any ZoneSource)? = nil, now: Now) {
        self.settings = settings
        self.zones = zones
        clock = ClockWatch(now: now)
    }

    // MARK: Events

    mutating func handle(_ event: Event, now: Now) -> DispatchActions {
        var out = begin(now)
        switch event {
        case .tick: tick(now, &out)
        case .firesClaimed(let claims, let runs): firesClaimed(claims, runs, now, &out)
        case .cursorsMoved(let moves, let moved): cursorsMoved(moves, moved, now, &out)
        case .accountingFailed(let names): accountingFailed(names, now, &out)
        case .waitingClaimed(let limits, let claims): waitingClaimed(limits, claims, now, &out)
        case .waitingClaimFailed(let names): waitingClaimFailed(names, now, &out)
        case .released(let names):
            for i in indices(of: names).sorted() {
                jobs[i].rateEased()
                jobs[i].noteWaiting(now.wall)
                consider(i, now, &out)
            }
        case .waiting(let job, let due):
            if let i = index[job] {
                jobs[i].noteWaiting(due)
                consider(i, now, &out)
            }
        case .wait(let names):
            for i in names.compactMap({ index[$0] }) {
                jobs[i].noteWaiting(now.wall)
                consider(i, now, &out)
            }
        case .sweep:
            for i in jobs.indices where !jobs[i].isRemoved {
                jobs[i].noteWaiting(now.wall)
                consider(i, now, &out)
            }
        case .started(let run, let at, let pid, let hash): started(run, at: at, pid: pid, libraryHash: hash)
        case .progress(let run, let done, let total, let text): progress(run, done: done, total: total, text)
        case .ended(let ends): attemptsEnded(ends, now, &out)
        case .returned(let run): attemptReturned(run, now, &out)
        case .stuck(let run): attemptStuck(run, now, &out)
        case .refreshed(let job, let row): refreshed(job, row, now, &out)
        }
        return finish(out, now)
    }

    private mutating func tick(_ now: Now, _ out: inout DispatchActions) {
        guard !clock.isHolding else { return }
        while let i = timeline.popDue(now.wall) { consider(i, now, &out) }
    }

    /// Every turn begins here: a clock that was set is seen before anything is decided by it.
    mutating func begin(_ now: Now) -> DispatchActions {
        var out = DispatchActions()
        observeClock(now, &out)
        return out
    }

    /// Every turn ends here.
    mutating func finish(_ out: DispatchActions, _ now: Now) -> DispatchActions {
        var out = out
        if !out.waiting.isEmpty {
            isAsking = true
            pace.ask(now.monotonic)
        }
        out.wakeAt = clock.holdEnd(now) ?? timeline.earliest
        return out
    }

    // MARK: One job's turn

    /// Starts what is held and due, accounts for fires, claims what waits, and sets the job's
    /// next wake-up. Called whenever something about the job has changed.
    mutating func consider(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard !jobs[i].isVacant else { return }
        lookAtSent(i, now, &out)
        startHeld(i, now, &out)
        startReady(i, now, &out)
        sendAhead(i, now, &out)
        account(i, now, &out)
        claimWaiting(i, now, &out)
        timeline.set(job: i, at: nextLook(i, now))
    }

    /// Nothing is claimed or accounted for: draining, suspended, or the clock is not to be trusted.
    var isAtRest: Bool { isDraining || isSuspended || clock.isHolding }

    func nextLook(_ i: Int, _ now: Now) -> Instant? {
        guard !isAtRest else { return nil }
        var earliest = jobs[i].held.compactMap { heldLook(i, $0, now.wall) }.min()
        func propose(_ at: Instant) { earliest = min(earliest ?? at, at) }
        if !jobs[i].isAccounting, !isLeftToOthers(i) {
            if let retry = backoff(i, now.wall) {
                propose(retry)
            } else if let retry = busyElsewhere(i, now.wall) {
                propose(retry)
            } else if settings.schedules, let fire = jobs[i].schedule.nextFire() {
                if jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) != nil {
                    propose(max(flushDue(jobs[i], fire, now.wall), now.wall + .milliseconds(1)))
                } else if canPreclaim(i) {
                    propose(max(fire - preclaimLead(i, for: fire), now.wall + .milliseconds(1)))
                } else {
                    propose(max(fire, now.wall + .milliseconds(1)))
                }
            }
        }
        if let due = jobs[i].settlingDue, due > now.wall { propose(due) }
        guard let due = jobs[i].waitingDue else { return earliest }
        if due > now.wall { propose(due) }
        if let look = jobs[i].rateLook(now.wall) { propose(look) }
        if let change = jobs[i].breaker?.nextChange, change > now.wall { propose(change) }
        return earliest
    }

    /// An overdue fire of the job has somebody who will come back to it: an answer of the store, or a wait with an end.
    /// Runs under way are none: what is due is accounted for beside them.
    func isSeenTo(_ i: Int, _ now: Now) -> Bool {
        jobs[i].isAccounting || backoff(i, now.wall) != nil || busyElsewhere(i, now.wall) != nil
    }

    /// Its cursor belongs to the hosts that serve it: this one writes no end into a schedule that may go on there.
    func isLeftToOthers(_ i: Int) -> Bool { jobs[i].isRemoved && settings.isShared }

    /// When refused fires from `fire` on are to be recorded.
    func flushDue(_ job: DispatchedJob, _ fire: Instant, _ now: Instant) -> Instant {
        let regular = fire + settings.refusalFlush
        // Just before an open breaker lets a probe through by itself.
        guard let change = job.breaker?.nextChange, change > now else { return regular }
        return max(fire, min(regular, change - .milliseconds(1)))
    }

    func indices(of names: some Sequence<String>) -> [Int] { names.compactMap { index[$0] } }

    // MARK: Generations and controls

    /// Switches to a generation. `rows` are the store's rows of jobs that appear for the first
    /// time in this life of the host; `states` their state blobs; `waitingFires` what of their
    /// fires an earlier life of the host had queued.
    mutating func apply(
        _ next: Generation, rows: [String: JobStateRow], states: [String: StateBlob],
        waitingFires: [WaitingFire] = [], now: Now
    ) -> DispatchActions {
        var out = begin(now)
        generation = next.number
        let fires = Dictionary(grouping: waitingFires, by: \.job)
        let chosen = next.jobs.filter { $0.value.config.isServed(by: next.config.host) }
        vacate(except: chosen)
        for i in jobs.indices where chosen[jobs[i].name] == nil { remove(i, isServedElsewhere: next.jobs[jobs[i].name] != nil, now, &out) }
        for (name, plan) in chosen.sorted(by: { $0.key < $1.key }) {
            if let i = index[name] {
                update(i, plan, now, &out)
                if jobs[i].state == nil { jobs[i].state = states[name] }
            } else {
                add(plan, rows[name], states[name], fires[name] ?? [], now)
            }
        }
        configure(next.pools)
        follow(next, chosen)
        for i in jobs.indices { consider(i, now, &out) }
        for key in pools.keys.sorted() { serve(key, now, &out) }
        return finish(out, now)
    }

    /// The host where a run ends tells those who wait for that, be they served by other hosts.
    private mutating func follow(_ next: Generation, _ chosen: [String: ResolvedJob]) {
        (followers, followersElsewhere) = ([:], [:])
        for (name, plan) in settings.isShared ? next.jobs : chosen {
            guard case .after(let other) = plan.schedule else { continue }
            followers[other, default: []].append(name)
            if chosen[name] == nil { followersElsewhere[name] = plan }
        }
        for name in followers.keys { followers[name]?.sort() }
    }

    /// The pools are counted anew: runs may still be with one that is gone, or back again.
    private mutating func configure(_ specs: [PoolSpec]) {
        var loads: [String: PoolLoad] = [:]
        for spec in specs {
            var load = pools[spec.key] ?? PoolLoad(maxWorkers: spec.maxWorkers)
            load.maxWorkers = spec.maxWorkers
            (load.busy, load.promised, load.asked) = (0, 0, 0)
            loads[spec.key] = load
        }
        for job in jobs {
            for run in job.active.values {
                if run.isHeld || run.isSentAhead { loads[run.pool]?.promised += 1 } else if !run.isStuck { loads[run.pool]?.busy += 1 }
            }
            if let claiming = job.claiming { loads[claiming.pool]?.promised += claiming.fires }
            if let asked = job.asked { loads[asked.pool]?.asked += asked.runs }
        }
        pools = loads
    }

    private mutating func add(
        _ plan: ResolvedJob, _ row: JobStateRow?, _ state: StateBlob?, _ waitingFires: [WaitingFire], _ now: Now
    ) {
        let row = row ?? JobStateRow()
        let job = DispatchedJob(
            plan: plan, schedule: newSchedule(plan, row, now.wall),
            breaker: plan.config.breaker.map { policy in
                row.breaker.flatMap { Breaker(stored: $0, policy: policy, now: now.wall) } ?? Breaker(policy: policy)
            },
            control: row.control, state: state, isShared: settings.isShared)
        job.storedBreaker = row.breaker
        // Nearly always they are the same, which then is kept once.
        if row.cursor != nil { job.storedText = row.scheduleText == job.ruleText ? job.ruleText : row.scheduleText }
        if !job.schedule.isSettled { job.editedAt = now.wall }
        // So far ahead only a clock that was wrong in an earlier life of the host leads.
        job.mayRewind = job.schedule.cursor > now.wall + ClockWatch.tolerance
        for fire in waitingFires where fire.trigger == .schedule || job.isRelative { job.await(fire: fire.run) }
        // The first look at the store's waiting runs.
        job.noteWaiting(now.wall)
        place(job)
    }

    private mutating func update(_ i: Int, _ plan: ResolvedJob, _ now: Now, _ out: inout DispatchActions) {
        flushRefused(i, now, &out)
        let old = jobs[i].plan
        let wasRemoved = jobs[i].isRemoved
        jobs[i].plan = plan
        jobs[i].badSettings = nil
        jobs[i].rated = nil
        jobs[i].isRemoved = false
        if wasRemoved { jobs[i].noteWaiting(now.wall) }
        switch (jobs[i].breaker, plan.config.breaker) {
        case (_, nil): jobs[i].breaker = nil
        case (nil, let policy?):
            let stored = jobs[i].storedBreaker.flatMap { Breaker(stored: $0, policy: policy, now: now.wall) } ?? Breaker(policy: policy)
            // What began before it was taken out says nothing of it.
            jobs[i].breaker = stored.inGeneration(max(stored.generation, jobs[i].latestPermit) + 1)
        case (_?, let policy?):
            jobs[i].breaker?.adopt(policy: policy)
            jobs[i].breaker?.settleOpening(now: now.wall)
        }
        let isSameRule = !wasRemoved && old === plan || !wasRemoved && old.schedule == plan.schedule && old.zone == plan.zone
            && old.calendar == plan.calendar && old.calendarZone == plan.calendarZone
            && old.config.catchUp == plan.config.catchUp && old.config.jitter == plan.config.jitter
        if !isSameRule { replaceRule(i, now, &out) }
    }

    /// To the schedule a removal is an edit: from now on there is no rule. So what was due until
    /// now is accounted for, and a job that comes back does not catch up on the time when it was
    /// not there. (Not in a store that other hosts share: there the schedule stands for them where it is.)
    ///
    /// `isServedElsewhere`: the config has it, for other hosts; what was claimed ahead here is theirs.
    private mutating func remove(_ i: Int, isServedElsewhere: Bool, _ now: Now, _ out: inout DispatchActions) {
        guard !jobs[i].isRemoved else { return }
        flushRefused(i, now, &out)
        if isServedElsewhere, settings.isShared {
            for run in jobs[i].held.sorted() { giveBack(run, i, &out) }
            for run in jobs[i].sentAhead.sorted() { takeBack(run, i, .released, &out) }
        }
        jobs[i].isRemoved = true
        replaceRule(i, now, &out)
    }

    /// Due times up to the switch were the old rule's; later ones are the new one's. A fire that
    /// has been claimed ahead was already accounted for: the new rule begins after it, and it
    /// stands if it is the new rule's too.
    private mutating func replaceRule(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        let plan = jobs[i].plan
        let spec = jobs[i].isRemoved ? ScheduleSpec.none : plan.schedule
        let isSameText = jobs[i].ruleText == spec.text
        jobs[i].schedule.replace(
            spec: spec, zone: plan.zone, catchUp: plan.config.catchUp,
            calendar: plan.calendar.map { ($0, plan.calendarZone) }, jitter: plan.config.jitter, now: now.wall)
        jobs[i].ruleText = spec.text
        jobs[i].editedAt = now.wall
        for run in jobs[i].held.union(jobs[i].sentAhead).sorted() {
            guard let active = jobs[i].active[run], active.claim.fireTime > now.wall else { continue }
            let fire = active.claim.fireTime
            let isOld = !isSameText && !jobs[i].fires(at: fire)
            guard isOld || !jobs[i].isOpen(at: fire) else { continue }
            let reason = isOld ? NoRunReason.reload : .calendar
            if active.isHeld { refuse(run, i, reason, &out) } else { takeBack(run, i, .refused(reason), &out) }
        }
    }

    /// The same for a job that was taken out while the host was not running. nil: nothing is left to be accounted for.
    static func removal(of job: String, _ row: JobStateRow, zones: some ZoneSource, now: Instant) -> CursorMove? {
        guard let cursor = row.cursor, row.scheduleText != ScheduleSpec.none.text else { return nil }
        let saved = JobSchedule.Saved(
            cursor: cursor, scheduleText: row.scheduleText, adaptiveInterval: row.adaptiveInterval, lastFinished: row.lastFinished)
        let schedule = JobSchedule(
            spec: .none, zone: .utc, catchUp: CatchUp(), calendar: nil, jitter: .zero, seed: 0, saved: saved, now: now, zones: zones)
        let accounting = schedule.refuse(upTo: now, reason: .reload)
        return CursorMove(
            job: job, expectedCursor: cursor, newCursor: max(cursor, accounting.cursor), scheduleText: ScheduleSpec.none.text,
            ranges: accounting.ranges)
    }

    func newSchedule(_ plan: ResolvedJob, _ row: JobStateRow, _ now: Instant, isRemoved: Bool = false) -> JobSchedule {
        JobSchedule(
            spec: isRemoved ? .none : plan.schedule, zone: plan.zone, catchUp: plan.config.catchUp,
            calendar: plan.calendar.map { ($0, plan.calendarZone) }, jitter: plan.config.jitter,
            // Equal schedules of different jobs are spread differently, and alike in every life of the host.
            seed: settings.seed ^ plan.config.name.utf8.fnv1a(),
            saved: row.cursor == nil
                ? nil
                : JobSchedule.Saved(
                    cursor: row.cursor, scheduleText: row.scheduleText,
                    adaptiveInterval: row.adaptiveInterval, lastFinished: row.lastFinished),
            now: now, zones: zones)
    }

    mutating func setHostControl(_ control: ControlRow, now: Now) -> DispatchActions {
        var out = begin(now)
        // What was due until now is accounted under the old control.
        for i in jobs.indices { flushRefused(i, now, &out) }
        hostControl = control
        for i in jobs.indices { consider(i, now, &out) }
        return finish(out, now)
    }

    mutating func setControl(job: String, _ control: ControlRow, now: Now) -> DispatchActions {
        var out = begin(now)
        guard let i = index[job] else { return finish(out, now) }
        flushRefused(i, now, &out)
        jobs[i].control = control
        consider(i, now, &out)
        return finish(out, now)
    }

    /// An operator's hand, as it is in the store by now.
    mutating func setBreaker(job: String, _ row: BreakerRow, now: Now) -> DispatchActions {
        var out = begin(now)
        guard let i = index[job], let own = jobs[i].breaker, let stored = Breaker(stored: row, policy: own.policy, now: now.wall)
        else { return finish(out, now) }
        flushRefused(i, now, &out)
        takeOver(stored, row, i)
        consider(i, now, &out)
        return finish(out, now)
    }

    /// What was started before is of another generation.
    mutating func takeOver(_ stored: Breaker, _ row: BreakerRow, _ i: Int) {
        jobs[i].storedBreaker = row
        jobs[i].breaker = stored.inGeneration(max(jobs[i].breaker?.generation ?? 0, stored.generation) + 1)
    }

    /// Nothing new starts; held claims are given back.
    mutating func drain(now: Now) -> DispatchActions {
        var out = begin(now)
        isDraining = true
        timeline.removeAll()
        giveBackUnbegun(now, &out)
        takeBackAll(&out)
        return finish(out, now)
    }

    /// Nothing runs, and the store owes no answer that could bring a claim.
    var isDrained: Bool {
        isDraining && owners.isEmpty && !isAsking && !jobs.contains { $0.isAccounting }
    }

    /// Those that are switched on, in the order of their names.
    func followers(of job: String) -> [ResolvedJob] {
        (followers[job] ?? []).compactMap { name in
            if let plan = followersElsewhere[name] {
                return controlsElsewhere[name]?.enabled ?? plan.config.enabled ? plan : nil
            }
            return index[name].flatMap { jobs[$0].isEnabled ? jobs[$0].plan : nil }
        }
    }
}

extension Breaker {
    /// As its row has it, which was written by the clock and the policy of then; nil: it cannot be read.
    init?(stored row: BreakerRow, policy: BreakerPolicy, now: Instant) {
        self.init(encoded: row.data, policy: policy)
        settleOpening(now: now)
    }
}
