extension JobSchedule {
    /// A fire that becomes a run.
    public struct DueFire: Hashable, Sendable {
        public var fire: Instant
        /// `schedule` when on time, `catchUp` when overdue.
        public var trigger: Trigger
        public init(fire: Instant, trigger: Trigger) {
            self.fire = fire
            self.trigger = trigger
        }
    }

    /// What becomes of a stretch of due times: each is in `fires` or counted in one of `ranges`.
    public struct Accounting: Hashable, Sendable {
        /// In order of time.
        public var fires: [DueFire]
        /// In order of time; neighbours of one reason are one range.
        public var ranges: [FireRange]
        /// Where the cursor stands when all this has been recorded.
        public var cursor: Instant
        public init(fires: [DueFire], ranges: [FireRange], cursor: Instant) {
            self.fires = fires
            self.ranges = ranges
            self.cursor = cursor
        }
    }

    /// Most catch-up runs that `all` starts at once, whatever its limit says.
    public static let mostCatchUps = 10_000
    /// A calendar is not asked about times further back than this; such fires count as too old.
    public static let calendarReach = Duration.seconds(400 * 86_400)

    /// Decides about every fire after the cursor and at or before `horizon`, which may lie up to
    /// `preclaimReach` after `now` (further is cut off). Changes nothing: record the result, then `advance`.
    ///
    /// Jitter does not count: a fire is accounted for at its own time, and its run held until `startTime(of:)`.
    /// The cost does not grow with the number of missed fires, which are counted, not visited.
    public func account(upTo horizon: Instant, now: Instant) -> Accounting {
        let horizon = min(horizon, now + Self.preclaimReach)
        let due = dueTimes
        var ledger = Ledger(due: due)
        var last = cursor
        let overdue = now - Self.onTime - .microseconds(1)
        if let newest = due.previous(atOrBefore: min(overdue, horizon)), newest > cursor {
            accountOverdue(upTo: newest, now: now, &ledger)
            last = newest
            // A missed fixed delay starts anew; counting on from its due time would miss again.
            if delay != nil, ledger.fires.isEmpty, newest > switchedAt ?? .distantPast { last = now }
        }
        var next = due.next(after: max(last, overdue))
        while let fire = next, fire <= horizon {
            if isOpen(at: fire) {
                ledger.run(fire, .schedule)
            } else {
                ledger.end(after: fire - .microseconds(1), upTo: fire, .calendar)
            }
            last = fire
            next = due.next(after: fire)
        }
        return Accounting(fires: ledger.fires, ranges: ledger.ranges, cursor: settled(last, horizon))
    }

    /// All fires after the cursor and at or before `horizon` end for one reason: the job was
    /// paused, disabled, its breaker open.
    public func refuse(upTo horizon: Instant, reason: NoRunReason) -> Accounting {
        var ledger = Ledger(due: dueTimes)
        ledger.end(after: cursor, upTo: horizon, reason)
        var last = ledger.ranges.last?.last ?? cursor
        if delay != nil, !ledger.ranges.isEmpty { last = max(last, horizon) }
        return Accounting(fires: [], ranges: ledger.ranges, cursor: settled(last, horizon))
    }

    /// The rule before an edit is done with when the edit has been reached.
    private func settled(_ last: Instant, _ horizon: Instant) -> Instant {
        guard let switchedAt, switchedAt <= horizon else { return last }
        return max(last, switchedAt)
    }

    private func isOpen(at fire: Instant) -> Bool { calendar?.isOpen(at: fire, in: calendarZone) ?? true }

    // MARK: Catching up

    private func accountOverdue(upTo end: Instant, now: Instant, _ ledger: inout Ledger) {
        let window = max(calendar == nil ? catchUp.window : min(catchUp.window, Self.calendarReach), .zero)
        let oldest = now - window
        let stretches = stretches(upTo: end, now: now)
        let chosen = chooseCatchUps(stretches, oldest: oldest, due: ledger.due)
        for stretch in stretches {
            guard stretch.isOpen else {
                ledger.end(after: stretch.after, upTo: stretch.upTo, .calendar)
                continue
            }
            let tooOld = min(stretch.upTo, oldest - .microseconds(1))
            ledger.end(after: stretch.after, upTo: tooOld, .window)
            let left = chosen.first.map { min(stretch.upTo, $0 - .microseconds(1)) } ?? stretch.upTo
            ledger.end(after: max(stretch.after, tooOld), upTo: left, .policy)
            for fire in chosen where fire > stretch.after && fire <= stretch.upTo { ledger.run(fire, .catchUp) }
        }
    }

    /// The newest fires inside the window while the calendar is open, in order of time.
    private func chooseCatchUps(_ stretches: [Stretch], oldest: Instant, due: DueTimes) -> [Instant] {
        let wanted =
            switch catchUp.policy {
            case .skip: 0
            case .latest: 1
            case .all: min(catchUp.limit, Self.mostCatchUps)
            }
        var chosen: [Instant] = []
        for stretch in stretches.reversed() where stretch.isOpen && stretch.upTo >= oldest {
            var candidate = stretch.upTo
            while chosen.count < wanted, let fire = due.previous(atOrBefore: candidate), fire > stretch.after, fire >= oldest {
                chosen.append(fire)
                candidate = fire - .microseconds(1)
            }
        }
        return chosen.reversed()
    }

    /// Time after `after` and at or before `upTo`, with the calendar open or closed throughout.
    private struct Stretch {
        var after: Instant
        var upTo: Instant
        var isOpen: Bool
    }

    private func stretches(upTo end: Instant, now: Instant) -> [Stretch] {
        guard let calendar else { return [Stretch(after: cursor, upTo: end, isOpen: true)] }
        var stretches: [Stretch] = []
        var after = cursor
        let reach = min(now - Self.calendarReach, end)
        if after < reach {
            stretches.append(Stretch(after: after, upTo: reach, isOpen: true))
            after = reach
        }
        while after < end {
            let first = after + .microseconds(1)
            let change = calendar.nextChange(after: first, before: end, in: calendarZone) ?? .distantFuture
            let upTo = min(change - .microseconds(1), end)
            stretches.append(Stretch(after: after, upTo: upTo, isOpen: calendar.isOpen(at: first, in: calendarZone)))
            after = upTo
        }
        return stretches
    }
}

/// Collects runs and ranges in order of time; neighbouring ranges of one reason become one.
private struct Ledger {
    let due: DueTimes
    var fires: [JobSchedule.DueFire] = []
    var ranges: [FireRange] = []
    /// No run has come since the last range.
    private var extends = false

    init(due: DueTimes) { self.due = due }

    mutating func run(_ fire: Instant, _ trigger: Trigger) {
        fires.append(JobSchedule.DueFire(fire: fire, trigger: trigger))
        extends = false
    }

    /// The fires after `start` and at or before `end` lead to no run.
    mutating func end(after start: Instant, upTo end: Instant, _ reason: NoRunReason) {
        guard start < end else { return }
        let count = due.count(after: start, upTo: end)
        guard count > 0, let first = due.next(after: start), let last = due.previous(atOrBefore: end) else { return }
        if extends, let previous = ranges.last, previous.reason == reason {
            ranges[ranges.count - 1].last = last
            ranges[ranges.count - 1].count = previous.count.saturatingAdd(count)
        } else {
            ranges.append(FireRange(reason: reason, first: first, last: last, count: count))
        }
        extends = true
    }
}
