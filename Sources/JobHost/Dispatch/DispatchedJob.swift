import JobCore
import JobStore

/// One job as the dispatcher sees it: its rule, its limits, and what of it is under way.
struct DispatchedJob {
    var plan: ResolvedJob
    var schedule: JobSchedule
    /// nil: `breaker = false`.
    var breaker: Breaker?
    var control: ControlRow
    /// The entry refused its settings at run time: off until the next reload.
    var badSettings: String?
    /// Gone from the config; kept until its last run has ended.
    var isRemoved = false

    /// Claimed and not yet ended.
    var active: [RunID: ActiveRun] = [:]
    /// A cursor transaction is under way: nothing else may account for this job.
    var isAccounting = false
    /// Instants from which waiting runs may be claimable, soonest first. Bounded: what finds no
    /// place is found by the sweep.
    private(set) var waitingTimes: [Instant] = []
    var isClaimingWaiting = false
    /// overlap = "queue": a fire is already waiting its turn.
    var hasQueuedFire = false
    /// The valid entry in the timeline.
    var wakeAt: Instant?
    var state: StateBlob?

    // What status shows.
    var lastRun: RunRecord?
    var recentOutcomes: [Outcome] = []

    var name: String { plan.config.name }
    var concurrency: Int { plan.config.concurrency }

    /// Runs that hold a place of the job's concurrency.
    var occupied: Int { active.count }
    var hasHeld: Bool { active.values.contains { $0.isHeld } }

    var hasRoom: Bool { plan.config.overlap == .allow || occupied < concurrency }

    var isEnabled: Bool { (control.enabled ?? plan.config.enabled) && badSettings == nil && !isRemoved }

    /// Why a scheduled fire may not run now; nil: it may. (Overlap is looked at apart.)
    func refusal(hostPaused: Bool, now: Instant) -> NoRunReason? {
        if isRemoved { return .reload }
        if !isEnabled { return .disabled }
        if hostPaused || control.paused { return .paused }
        if let breaker, !breaker.peek(now: now) { return .breaker }
        return nil
    }

    /// The earliest instant at which a waiting run may be claimable; nil: none is known.
    var waitingDue: Instant? { waitingTimes.first }

    mutating func noteWaiting(_ due: Instant) {
        let place = waitingTimes.firstIndex { $0 >= due } ?? waitingTimes.count
        if place < waitingTimes.count, waitingTimes[place] == due { return }
        waitingTimes.insert(due, at: place)
        if waitingTimes.count > 256 { waitingTimes.removeLast() }
    }

    /// The store is asked about everything that is due now.
    mutating func forgetWaiting(upTo now: Instant) { waitingTimes.removeAll { $0 <= now } }

    mutating func remember(_ run: RunRecord) {
        lastRun = run
        if let outcome = run.outcome { recentOutcomes.append(outcome) }
        if recentOutcomes.count > 20 { recentOutcomes.removeFirst() }
    }
}

/// A claimed run on its way through this host.
struct ActiveRun {
    enum Phase: Equatable {
        /// Claimed ahead of its instant.
        case held(until: Instant)
        /// With the process room.
        case submitted
        case running(since: Instant, pid: Int32)
    }
    var claim: ClaimedRun
    var phase: Phase
    /// Where it was submitted; a reload may have moved its job to another pool since.
    var pool = ""
    var permit: Breaker.Permit?
    var libraryHash = ""
    var done: UInt64 = 0
    var total: UInt64 = 0
    var text = ""

    var isHeld: Bool {
        if case .held = phase { true } else { false }
    }
}
