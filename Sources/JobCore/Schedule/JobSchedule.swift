/// The schedule of one job as it lives: what of it has been accounted for, what is due, and what
/// its runs have to do with it.
///
/// The cursor is the store's: it moves only when a transaction that recorded the fires up to it
/// has committed (`advance`). So every due time is accounted for exactly once, whatever happens in between.
///
/// Pure: `now` is passed in, nothing is read from a clock.
public struct JobSchedule: Sendable {
    /// What the store keeps of a job's schedule.
    public struct Saved: Hashable, Sendable {
        public var cursor: Instant?
        /// `ScheduleSpec.text` of the rule that the cursor belongs to.
        public var scheduleText: String
        public var adaptiveInterval: Duration?
        public var lastFinished: Instant?
        public init(cursor: Instant?, scheduleText: String, adaptiveInterval: Duration? = nil, lastFinished: Instant? = nil) {
            self.cursor = cursor
            self.scheduleText = scheduleText
            self.adaptiveInterval = adaptiveInterval
            self.lastFinished = lastFinished
        }
    }

    /// How far ahead of `now` fires may be claimed, and how far ahead a cursor may therefore lie.
    public static let preclaimReach = Duration.seconds(2)
    /// Fires no later than this are on time; later ones are for the catch-up policy.
    public static let onTime = Duration.seconds(1)

    public private(set) var spec: ScheduleSpec
    /// Due times at or before it are accounted for. Always what the store has.
    public private(set) var cursor: Instant
    /// The present interval of an adaptive schedule; nil for all others.
    public private(set) var adaptiveInterval: Duration?

    var catchUp: CatchUp
    var calendar: BusinessCalendar?
    var calendarZone: Zone
    private var zone: Zone
    private var schedule: Schedule
    private var jitter: Duration
    private let seed: UInt64
    /// When the newest run that this schedule knows of ended.
    public private(set) var lastFinished: Instant?
    private var runsUnderWay = 0
    /// Replaced rules that still have to account for the time up to their replacement.
    private var former: [DueTimes.Piece] = []

    /// - Parameters:
    ///   - zone: of the cron expression; other rules need none.
    ///   - calendar: fires while it is closed are skipped.
    ///   - jitter: see `startTime(of:)`.
    ///   - seed: of the jitter. Give each job its own.
    ///   - saved: nil, or without a cursor: the job appears for the first time, and fires from `now` on.
    ///     With the text of another rule: that rule accounts for the time until `now`, when it can
    ///     still be read.
    ///   - zones: where the zone of such an older rule is found. Without it, `zone` and UTC are known.
    public init(
        spec: ScheduleSpec, zone: Zone, catchUp: CatchUp, calendar: (BusinessCalendar, Zone)?, jitter: Duration,
        seed: UInt64, saved: Saved?, now: Instant, zones: (any ZoneSource)? = nil
    ) {
        self.spec = spec
        self.zone = zone
        self.catchUp = catchUp
        self.calendar = calendar?.0
        calendarZone = calendar?.1 ?? .utc
        self.jitter = jitter
        self.seed = seed
        schedule = Schedule(spec: spec, zone: zone)
        cursor = saved?.cursor ?? now
        lastFinished = saved?.lastFinished
        adaptiveInterval = Self.adaptiveInterval(spec, saved?.adaptiveInterval)
        if let saved, saved.cursor != nil, saved.scheduleText != spec.text {
            former = [Self.former(saved, zone: zone, zones: zones, now: now)]
        }
    }

    private static func former(_ saved: Saved, zone: Zone, zones: (any ZoneSource)?, now: Instant) -> DueTimes.Piece {
        var schedule = Schedule(once: nil)
        if let spec = ScheduleSpec(text: saved.scheduleText) {
            let interval = delay(spec, adaptiveInterval(spec, saved.adaptiveInterval))
            if let interval, let cursor = saved.cursor {
                schedule = Schedule(once: max(cursor, saved.lastFinished ?? cursor) + interval)
            } else if case .cron(_, let name) = spec {
                let known = [zone, .utc].first { $0.name == name } ?? (try? zones?.zone(named: name))
                if let known { schedule = Schedule(spec: spec, zone: known) }
            } else {
                schedule = Schedule(spec: spec, zone: zone)
            }
        }
        return DueTimes.Piece(schedule: schedule, upTo: now)
    }

    // MARK: Due times

    /// The first fire after the cursor; nil: none, or none until the run that is under way has
    /// ended. A closed calendar does not remove it: it will be accounted for as skipped.
    public func nextFire() -> Instant? {
        if former.isEmpty, delay == nil { return schedule.next(after: cursor) }
        return dueTimes.next(after: cursor)
    }

    /// When the run of a fire starts: up to `jitter` later, always the same for the same fire, and
    /// before the next fire, so that runs keep the order of their fires.
    public func startTime(of fire: Instant) -> Instant {
        var room = jitter
        if let delay { room = min(room, delay) } else if let next = dueTimes.next(after: fire) { room = min(room, next - fire) }
        guard room > .zero else { return fire }
        var generator = SeededGenerator(seed: seed ^ UInt64(bitPattern: fire.microseconds))
        let share = generator.next().multipliedFullWidth(by: UInt64(room.microseconds)).high
        return fire + .microseconds(Int64(share))
    }

    var dueTimes: DueTimes {
        var current = schedule
        if delay != nil { current = Schedule(once: relativeFire) }
        return DueTimes(pieces: former + [DueTimes.Piece(schedule: current, upTo: .distantFuture)])
    }

    /// false: an older rule still accounts for the time before an edit. Until an accounting up to
    /// the edit has been recorded, the store knows that rule only.
    public var isSettled: Bool { former.isEmpty }

    /// The instant of the newest edit whose older rule is not fully accounted for.
    var switchedAt: Instant? { former.last?.upTo }

    /// nil: fire times do not depend on the job's runs.
    var delay: Duration? { Self.delay(spec, adaptiveInterval) }

    private static func delay(_ spec: ScheduleSpec, _ adaptiveInterval: Duration?) -> Duration? {
        switch spec {
        case .afterFinish(let interval): max(interval, Schedule.shortestInterval)
        case .adaptive(let min, _): max(adaptiveInterval ?? min, Schedule.shortestInterval)
        default: nil
        }
    }

    /// Due one delay after the last run ended, or after a fire that led to no run.
    private var relativeFire: Instant? {
        guard let delay, runsUnderWay == 0 else { return nil }
        return max(cursor, lastFinished ?? cursor, switchedAt ?? cursor) + delay
    }

    // MARK: Events

    /// The store has committed everything up to `cursor`.
    public mutating func advance(to cursor: Instant) {
        self.cursor = cursor
        former.removeAll { $0.upTo <= cursor }
    }

    /// After the wall clock was put back: a cursor further in the future than a claim may reach
    /// goes back to `now`, as otherwise the job would not fire until the clock has caught up.
    /// true: it did, and the caller tells the store.
    public mutating func rewind(now: Instant) -> Bool {
        guard cursor > now + Self.preclaimReach else { return false }
        cursor = now
        former = []
        lastFinished = lastFinished.map { min($0, now) }
        return true
    }

    /// Call for every run of the job, whatever its trigger.
    public mutating func runStarted() { runsUnderWay += 1 }

    /// Undoes `runStarted` for a run that was never started after all.
    public mutating func runReturned() { runsUnderWay = max(0, runsUnderWay - 1) }

    /// Adaptive: halves the interval after items, doubles it after nothing to do, keeps it after
    /// anything else.
    public mutating func runFinished(outcome: Outcome, items: UInt64, at instant: Instant) {
        runsUnderWay = max(0, runsUnderWay - 1)
        lastFinished = max(lastFinished ?? instant, instant)
        guard case .adaptive(let shortest, let longest) = spec, let interval = adaptiveInterval else { return }
        if items > 0 {
            adaptiveInterval = max(interval / 2, shortest)
        } else if outcome == .nothingToDo {
            adaptiveInterval = interval >= longest / 2 ? max(longest, shortest) : interval * 2
        }
    }

    /// An edited config takes effect at `now`: due times up to then are still the old rule's.
    public mutating func replace(
        spec: ScheduleSpec, zone: Zone, catchUp: CatchUp, calendar: (BusinessCalendar, Zone)?, jitter: Duration, now: Instant
    ) {
        self.catchUp = catchUp
        self.calendar = calendar?.0
        calendarZone = calendar?.1 ?? .utc
        self.jitter = jitter
        guard spec != self.spec || zone != self.zone else { return }
        if let ahead = former.firstIndex(where: { $0.upTo > now }) {
            // The present rule was to come into force later than now, since the clock was set
            // back: it never did, and the one before it holds until now.
            former[ahead].upTo = now
            former.removeSubrange((ahead + 1)...)
            former.removeAll { $0.upTo <= cursor }
        } else if now > cursor, now > switchedAt ?? cursor {
            let old = delay == nil ? schedule : Schedule(once: relativeFire)
            former.append(DueTimes.Piece(schedule: old, upTo: now))
        }
        self.spec = spec
        self.zone = zone
        schedule = Schedule(spec: spec, zone: zone)
        adaptiveInterval = Self.adaptiveInterval(spec, adaptiveInterval)
    }

    private static func adaptiveInterval(_ spec: ScheduleSpec, _ saved: Duration?) -> Duration? {
        guard case .adaptive(let least, let longest) = spec else { return nil }
        let shortest = max(least, Schedule.shortestInterval)
        return max(shortest, min(saved ?? shortest, longest))
    }
}
