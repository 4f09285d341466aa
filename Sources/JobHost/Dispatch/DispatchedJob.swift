import JobConfig
import JobCore
import JobStore

/// One job as the dispatcher sees it: its rule, its limits, and what of it is under way. An
/// object of its dispatcher alone (which cannot be copied), so that looking at it copies nothing.
final class DispatchedJob {
    var plan: ResolvedJob { didSet { unchanging = nil } }
    /// What of a snapshot the plan alone decides, made once: a thousand jobs are looked at often.
    var unchanging: Shared<JobSnapshot.Unchanging>?
    var schedule: JobSchedule
    /// nil: `breaker = false`.
    var breaker: Breaker?
    var control: ControlRow
    /// The entry refused its settings at run time: off until the next reload.
    var badSettings: String?
    /// Gone from the config; kept until nothing of it is left to be done.
    var isRemoved = false
    /// Nothing is: another job may have its place.
    var isVacant = false

    // The schedule and the store.

    /// `ScheduleSpec.text` of the rule in force; that of no rule for a removed job.
    var ruleText: String
    /// The rule that the store has with the cursor; nil: it has no cursor of this job yet.
    var storedText: String?
    /// When the rule was last replaced: by a reload, or by an edit that this life began with.
    var editedAt: Instant?
    /// A cursor transaction is under way: nothing else may account for this job.
    var isAccounting = false
    /// What those since the last that succeeded were to leave in the store: any may be there although it seemed to fail.
    var askedFor: [(cursor: Instant, text: String)] = []
    /// The last one failed: the next not before then.
    var accountingRetry: Instant?
    /// Runs on other hosts leave no room: the next fire is looked at again then, when the host that
    /// has them has had the first chance.
    var busyElsewhereUntil: Instant?
    /// A cursor that lies in the future is to be set back: the wall clock was wrong.
    var mayRewind = false
    /// Fires that were refused until then and are still to be recorded, whatever may have
    /// changed since.
    var unrecorded: (upTo: Instant, reason: NoRunReason)?

    // Runs under way.

    /// Claimed and not yet ended.
    private(set) var active: [RunID: ActiveRun] = [:]
    /// Those of them that are held for their instant.
    private(set) var held: Set<RunID> = []
    /// Those that were sent ahead of it, and are not known to have begun.
    private(set) var sentAhead: Set<RunID> = []
    /// Waiting runs that were claimed together with those before them, in their order: they begin as soon
    /// as the job's concurrency has a place, without a commit in between.
    private(set) var ready = FIFO<RunID>()
    /// Of attempts.
    var meanRun = MeanTime()
    /// Fires being claimed for an instant, and the pool that they were promised.
    var claiming: (pool: String, fires: Int)?
    /// Instants from which waiting runs may be claimable, soonest first. Bounded: what finds no
    /// place is found by the sweep.
    private(set) var waitingTimes: [Instant] = []
    /// The job's rate allows no more until then, as the store said when it was asked.
    var rated: (until: Instant, asked: Instant)?
    /// The store is being asked for waiting runs.
    var asked: Question?
    /// Fires on time that wait: for a worker, or (overlap = "queue") for their turn; and every
    /// waiting fire of a rule that counts from the end of runs.
    private(set) var waitingFires: Set<RunID> = []
    var state: StateBlob? { didSet { stateRevision &+= 1 } }
    /// Another one with each state.
    private(set) var stateRevision: UInt64 = 0
    /// The attempt that left `state`; 0: read at the start, or of an earlier one.
    var stateFence: Int64 = 0
    /// The breaker's row as this host believes it to be in the store: read there, or written.
    var storedBreaker: BreakerRow?

    // What status shows.
    var ends = EndRate()
    /// Failed attempts.
    var errors = EndRate(within: .seconds(3_600))
    var lastRun: RunRecord? {
        get { newestRun?.value }
        set { newestRun = newValue.map(Shared.init) }
    }
    /// Apart, since many jobs have none yet, and shared with snapshots.
    private(set) var newestRun: Shared<RunRecord>?
    var recent = RecentAttempts()
    /// Attempts that ended in this life of the host.
    private(set) var endedHere = AttemptCount()
    private var endsElsewhere = EndsElsewhere()

    /// Other hosts share the store.
    private let isShared: Bool

    init(plan: ResolvedJob, schedule: JobSchedule, breaker: Breaker?, control: ControlRow, state: StateBlob?, isShared: Bool) {
        self.plan = plan
        self.isShared = isShared
        self.schedule = schedule
        self.breaker = breaker
        self.control = control
        self.state = state
        ruleText = plan.schedule.text
    }

    var name: String { plan.config.name }
    var concurrency: Int { plan.config.concurrency }

    // MARK: Places

    var hasHeld: Bool { !held.isEmpty }
    /// With the process room; what was sent ahead has its place already.
    var submitted: Int { active.count - held.count - ready.count }
    /// How many waiting runs may be claimed: what the job may run at once, and behind it what the work of `moment`
    /// is. That much a host that dies keeps from the others for the length of its lease.
    func claimable(in moment: Duration) -> Int { max(0, concurrency * ahead(moment) - submitted - ready.count) }
    /// Enough is here to go on with while the store answers.
    func isSupplied(in moment: Duration) -> Bool { submitted >= concurrency && ready.count > concurrency * ahead(moment) / 2 - concurrency }
    /// How many of those that are ready have become too many: runs take long of late, and each of these keeps a
    /// worker of the pool from other jobs while it waits.
    var surplus: Int { meanRun.isLong && ready.count > concurrency ? ready.count - max(0, concurrency - submitted) : 0 }
    /// A run that counts towards a rate is claimed when it can begin; so is one that would be a dead letter if this host
    /// died before that.
    private func ahead(_ moment: Duration) -> Int { plan.config.rate == nil && !endsWithItsHost ? meanRun.ahead(in: moment) : 1 }
    /// A run that is lost is not tried again, and hosts that share the store take all that a dead one had claimed for begun.
    private var endsWithItsHost: Bool { isShared && (!plan.entry.idempotent || plan.config.retry.maxAttempts <= 1) }
    /// Places of the concurrency that are taken or spoken for.
    var occupied: Int { active.count - ready.count + waitingFires.count }

    /// A fire may be claimed for its instant.
    var hasRoom: Bool { plan.config.overlap == .allow || occupied < concurrency }

    /// One more fire may become a run now, be it one that waits.
    func admits(fires: Int) -> Bool {
        switch plan.config.overlap {
        case .allow: true
        case .skip: occupied + fires < concurrency
        case .queue: occupied + fires <= concurrency
        }
    }

    /// `overlap = "skip"`: nothing of the job had begun at that instant, nor waits. What fills its places now is
    /// later than it ought to be, and that is the host's doing.
    func wasFree(at instant: Instant) -> Bool {
        plan.config.overlap == .skip && waitingFires.isEmpty
            && active.values.allSatisfy { run in run.phase == .ready || run.submittedAt.map { $0 > instant } ?? false }
    }

    /// Held claims whose instant has come, in the order of their making.
    func heldRuns(dueBy now: Instant) -> [ActiveRun] {
        var due: [ActiveRun] = []
        for run in held {
            if let run = active[run], let until = run.heldUntil, until <= now { due.append(run) }
        }
        if due.count > 1 { due.sort { $0.claim.id < $1.claim.id } }
        return due
    }

    func hold(_ run: ActiveRun) {
        active[run.claim.id] = run
        held.insert(run.claim.id)
    }

    func hold(ready run: ActiveRun) {
        active[run.claim.id] = run
        ready.append(run.claim.id)
    }

    func submit(_ run: ActiveRun) {
        leaveLines(run.claim.id)
        // A fire that waited was under way already.
        if waitingFires.remove(run.claim.id) == nil { schedule.runStarted() }
        active[run.claim.id] = run
        if run.isSentAhead { sentAhead.insert(run.claim.id) }
    }

    /// It was sent ahead and has begun. → Its pool; nil: it was not, or is known to have.
    func begun(_ run: RunID) -> String? {
        guard sentAhead.remove(run) != nil else { return nil }
        active[run]?.phase = .submitted
        return active[run]?.pool
    }

    /// What was sent ahead before may not begin as it was sent: the job may not run, or runs by another plan, library or
    /// state, or its breaker has moved.
    func isOutdated(_ run: ActiveRun, hostPaused: Bool, now: Instant) -> Bool {
        if refusal(hostPaused: hostPaused, now: now) != nil || run.plan !== plan || run.stateRevision != stateRevision { return true }
        guard let breaker else { return false }
        return run.permit != .granted(generation: breaker.generation, isProbe: false)
    }

    /// A run may be sent ahead: nothing but time stands between it and its start.
    var maySendAhead: Bool {
        guard plan.config.overlap == .allow || submitted < concurrency else { return false }
        return breaker.map { $0.mode == .closed || $0.mode == .disabled } ?? true
    }

    /// A fire waits in the store. To the rule its run is under way from now on, so that a fixed
    /// delay does not add another while this one waits for a worker.
    func await(fire run: RunID) {
        if waitingFires.insert(run).inserted { schedule.runStarted() }
    }

    /// Of the fires that were believed to wait only `runs` do.
    /// `believed`: to wait when the store was asked; others began to wait since.
    func keepWaiting(_ runs: Set<RunID>, of believed: Set<RunID>) {
        let gone = waitingFires.intersection(believed).subtracting(runs).subtracting(ready.all)
        for _ in gone { schedule.runReturned() }
        waitingFires.subtract(gone)
    }

    /// A fire that waited ended without having begun.
    func waitsNoMore(_ run: RunID) {
        if waitingFires.remove(run) != nil { schedule.runReturned() }
    }

    /// The rule counts from the end of the job's runs: it has one fire at a time.
    var isRelative: Bool {
        switch schedule.spec {
        case .afterFinish, .adaptive: true
        case .cron, .every, .once, .after, .none: false
        }
    }

    /// Takes over a schedule that knows nothing of the job's runs.
    func adopt(_ schedule: JobSchedule) {
        self.schedule = schedule
        for _ in 0..<submitted + waitingFires.count { self.schedule.runStarted() }
    }

    func change(_ run: RunID, _ body: (inout ActiveRun) -> Void) {
        guard let place = active.index(forKey: run) else { return }
        body(&active.values[place])
    }

    func forget(_ run: RunID) -> ActiveRun? {
        leaveLines(run)
        return active.removeValue(forKey: run)
    }

    private func leaveLines(_ run: RunID) {
        switch active[run]?.phase {
        case .held: held.remove(run)
        case .ready: _ = ready.remove { $0 == run }
        case .sent: sentAhead.remove(run)
        case .submitted, .running, nil: break
        }
    }

    // MARK: Refusals

    var isEnabled: Bool { (control.enabled ?? plan.config.enabled) && badSettings == nil && !isRemoved }

    /// Why a scheduled fire may not run now; nil: it may. (Overlap is looked at apart.)
    func refusal(hostPaused: Bool, now: Instant) -> NoRunReason? {
        if isRemoved { return .reload }
        if !isEnabled { return .disabled }
        if hostPaused || control.paused { return .paused }
        if let breaker, !breaker.peek(now: now) { return .breaker }
        return nil
    }

    // MARK: The rule

    /// From when on the store can be told of the rule in force, and older ones be done with;
    /// nil: that has been done. In the future only after the clock was set back.
    var settlingDue: Instant? {
        if schedule.isSettled { storedText == ruleText ? nil : .distantPast } else { editedAt ?? .distantPast }
    }

    /// The rule in force has a fire at this very instant, so a claim made by an older one stands.
    func fires(at instant: Instant) -> Bool {
        guard !isRemoved else { return false }
        return Schedule(spec: plan.schedule, zone: plan.zone).next(after: instant - .microseconds(1)) == instant
    }

    func isOpen(at instant: Instant) -> Bool {
        plan.calendar?.isOpen(at: instant, in: plan.calendarZone) ?? true
    }

    func noteAsked(for cursor: Instant) {
        if askedFor.last.map({ $0 == (cursor, ruleText) }) == true { return }
        askedFor.append((cursor, ruleText))
        if askedFor.count > 64 { askedFor.removeFirst() }
    }

    /// The row is as this host wanted it.
    func asked(for row: JobStateRow) -> Bool {
        askedFor.contains { $0.cursor == row.cursor && $0.text == row.scheduleText }
    }

    // MARK: Waiting

    /// The earliest instant at which a waiting run may be claimable; nil: none is known.
    var waitingDue: Instant? { waitingTimes.first }

    func noteWaiting(_ due: Instant) {
        let place = waitingTimes.firstIndex { $0 >= due } ?? waitingTimes.count
        if place < waitingTimes.count, waitingTimes[place] == due { return }
        waitingTimes.insert(due, at: place)
        if waitingTimes.count > 256 { waitingTimes.removeLast() }
    }

    /// Until when the rate allows no more; nil: it does. A clock that was set back does not prolong it.
    func ratedUntil(_ now: Instant) -> Instant? {
        guard let until = rated?.until, let rate = plan.config.rate, now < until, until <= now + rate.per * 2 else { return nil }
        return until
    }

    /// When the store is asked again what the rate allows; nil: whenever something waits. Once a minute too: what
    /// another host took may have come back.
    func rateLook(_ now: Instant) -> Instant? {
        guard let until = ratedUntil(now), let asked = rated?.asked else { return nil }
        let look = min(until, asked + .seconds(60))
        return now < look && asked <= now ? look : nil
    }

    /// Something that counted does so no longer: what the store has said, or is about to say, is outdated.
    func rateEased() {
        rated = nil
        asked?.isOvertaken = true
    }

    /// The store is asked about everything that is due now.
    func forgetWaiting(upTo now: Instant) { waitingTimes.removeAll { $0 <= now } }

    func remember(_ run: RunRecord) {
        lastRun = run
        recent.add(run)
        endedHere.count(run.outcome)
    }

    /// `total`: of all hosts, as counted in the store. → Whether attempts ended elsewhere since the last call.
    func hear(ofAll total: AttemptCount, now: MonotonicInstant) -> Bool {
        guard let news = endsElsewhere.hear(ofAll: total, here: endedHere) else { return false }
        ends.note(now, UInt32(clamping: news.ended))
        errors.note(now, UInt32(clamping: news.failed))
        return true
    }

    /// The newest runs of the ledger. → Whether anything of them was news.
    func learn(_ runs: [RunRecord]) -> Bool {
        let ended = runs.filter { $0.outcome != nil && $0.finishedAt != nil }.sorted { ($0.finishedAt ?? $0.createdAt, $0.id) < ($1.finishedAt ?? $1.createdAt, $1.id) }
        guard recent.merge(ended) else { return false }
        if let newest = ended.last, lastRun?.finishedAt.map({ $0 < newest.finishedAt ?? $0 }) ?? true { lastRun = newest }
        return true
    }
}

extension DispatchedJob {
    /// What the store is asked for.
    struct Question {
        /// Whose workers the runs are for.
        var pool: String
        var runs: Int
        /// Believed to wait.
        var fires: Set<RunID>
        /// The job's rate allows more than it did when it was asked.
        var isOvertaken = false
    }
}

/// A claimed run on its way through this host.
struct ActiveRun {
    enum Phase: Equatable {
        /// Claimed ahead of its instant.
        case held(until: Instant)
        /// Claimed, and due; waits for a place of its job's concurrency.
        case ready
        /// With the process room ahead of its instant, at which its worker begins it without another word.
        case sent(until: Instant)
        /// With the process room.
        case submitted
        case running(since: Instant, pid: Int32)
    }
    /// What becomes of a run that was sent ahead and taken back.
    enum TakenBack: Equatable {
        /// Held again, and judged at its instant.
        case held
        case refused(NoRunReason)
        case released
    }
    var claim: ClaimedRun
    var phase: Phase
    /// Where it is promised a worker, or was submitted; a reload may have moved its job to
    /// another pool since.
    var pool = ""
    /// As it was submitted; a reload may have brought another one since.
    var plan: ResolvedJob?
    var submittedAt: Instant?
    /// Of the job, as it was submitted.
    var stateRevision: UInt64 = 0
    /// It was sent ahead and came back: the next time it begins at its instant.
    var hasComeBack = false
    /// It is asked back from where it was sent ahead.
    var takenBack: TakenBack?
    var isIdempotent: Bool { plan?.entry.idempotent ?? false }
    var permit: Breaker.Permit?
    /// Its worker was killed and does not end: no place of its pool is taken by it.
    var isStuck = false
    var libraryHash = ""
    var done: UInt64 = 0
    var total: UInt64 = 0
    var text = ""

    var isHeld: Bool {
        if case .held = phase { true } else { false }
    }
    /// Submitted or running: it ends by what its worker says.
    var isWithRoom: Bool {
        switch phase {
        case .held, .ready: false
        case .sent, .submitted, .running: true
        }
    }
    var isSentAhead: Bool { sentUntil != nil }
    var sentUntil: Instant? {
        if case .sent(let until) = phase { until } else { nil }
    }
    /// It has begun, or may have: a worker that keeps an instant tells of the beginning a moment later.
    func isUnderWay(at now: Instant) -> Bool { isWithRoom && sentUntil.map { $0 <= now } ?? true }
    var heldUntil: Instant? {
        if case .held(let until) = phase { until } else { nil }
    }
}
