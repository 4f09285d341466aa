import Testing
@testable import JobCore

/// One job's schedule over restarts, downtime, edits and clock steps.
@Suite struct JobScheduleTests {
    static let noon = at("2025-06-02T12:00:00Z")

    static func make(
        _ spec: ScheduleSpec, catchUp: CatchUp = CatchUp(), calendar: (BusinessCalendar, Zone)? = nil, jitter: Duration = .zero,
        saved: JobSchedule.Saved? = nil, now: Instant = noon
    ) -> JobSchedule {
        JobSchedule(
            spec: spec, zone: .utc, catchUp: catchUp, calendar: calendar, jitter: jitter, seed: 42, saved: saved, now: now)
    }
    static func saved(_ spec: ScheduleSpec, cursor: Instant, adaptive: Duration? = nil, finished: Instant? = nil) -> JobSchedule.Saved {
        JobSchedule.Saved(cursor: cursor, scheduleText: spec.text, adaptiveInterval: adaptive, lastFinished: finished)
    }
    static let everySecond = ScheduleSpec.every(.seconds(1), phase: .zero)
    static let everyMinute = ScheduleSpec.every(.seconds(60), phase: .zero)
    static let hourly = ScheduleSpec.cron(cron("0 * * * *"), timeZone: "UTC")

    func range(_ reason: NoRunReason, _ first: Instant, _ last: Instant, _ count: Int64) -> FireRange {
        FireRange(reason: reason, first: first, last: last, count: count)
    }
    func due(_ fire: Instant, _ trigger: Trigger) -> JobSchedule.DueFire { JobSchedule.DueFire(fire: fire, trigger: trigger) }

    // MARK: First appearance, on time

    @Test func theFirstAppearanceNeverBackfills() {
        let job = Self.make(Self.hourly, now: at("2025-06-02T12:30Z"))
        #expect(job.cursor == at("2025-06-02T12:30Z"))
        #expect(job.nextFire() == at("2025-06-02T13:00Z"))
        #expect(job.account(upTo: at("2025-06-02T12:30Z"), now: at("2025-06-02T12:30Z")).fires == [])
    }

    @Test func aFireUpToASecondLateIsOnTime() {
        let job = Self.make(Self.everyMinute, catchUp: CatchUp(policy: .skip))
        let fire = Self.noon + .seconds(60)
        for late in [Duration.zero, .milliseconds(999), .seconds(1)] {
            let accounting = job.account(upTo: fire + late, now: fire + late)
            #expect(accounting.fires == [due(fire, .schedule)])
            #expect(accounting.ranges == [])
            #expect(accounting.cursor == fire)
        }
        let late = fire + .seconds(1) + .microseconds(1)
        #expect(job.account(upTo: late, now: late).fires == [])
        #expect(job.account(upTo: late, now: late).ranges == [range(.policy, fire, fire, 1)])
    }

    @Test func firesMayBeClaimedTwoSecondsAheadAndNoMore() {
        let job = Self.make(Self.everySecond)
        let accounting = job.account(upTo: Self.noon + .seconds(10), now: Self.noon)
        #expect(accounting.fires == [due(Self.noon + .seconds(1), .schedule), due(Self.noon + .seconds(2), .schedule)])
        #expect(accounting.cursor == Self.noon + .seconds(2))
    }

    @Test func theCursorMovesOnlyWhenTheStoreHasCommitted() {
        var job = Self.make(Self.everyMinute)
        let fire = Self.noon + .seconds(60)
        #expect(job.account(upTo: fire, now: fire) == job.account(upTo: fire, now: fire))
        #expect(job.nextFire() == fire)
        job.advance(to: fire)
        #expect(job.nextFire() == fire + .seconds(60))
        #expect(job.account(upTo: fire, now: fire).fires == [])
    }

    // MARK: Catch-up

    @Test func aWeekDownAtEverySecondIsOneRangeAndOneRun() {
        let now = Self.noon
        let cursor = now - .seconds(7 * 86_400)
        let job = Self.make(Self.everySecond, saved: Self.saved(Self.everySecond, cursor: cursor), now: now)
        // On time: 11:59:59 and 12:00:00. Inside the window of a day: 86,400 others, the newest of which runs.
        let accounting = job.account(upTo: now, now: now)
        #expect(accounting.ranges == [
            range(.window, cursor + .seconds(1), now - .seconds(86_401), 518_400 - 1),
            range(.policy, now - .seconds(86_400), now - .seconds(3), 86_398),
        ])
        #expect(accounting.fires == [
            due(now - .seconds(2), .catchUp), due(now - .seconds(1), .schedule), due(now, .schedule),
        ])
        #expect(accounting.cursor == now)
    }

    @Test func latestRunsTheNewest() {
        let now = at("2025-06-02T12:30Z")
        let job = Self.make(Self.hourly, saved: Self.saved(Self.hourly, cursor: at("2025-06-02T08:00Z")), now: now)
        let accounting = job.account(upTo: now, now: now)
        #expect(accounting.ranges == [range(.policy, at("2025-06-02T09:00Z"), at("2025-06-02T11:00Z"), 3)])
        #expect(accounting.fires == [due(at("2025-06-02T12:00Z"), .catchUp)])
        #expect(accounting.cursor == at("2025-06-02T12:00Z"))
    }

    @Test func skipRunsNone() {
        let now = at("2025-06-02T12:30Z")
        let job = Self.make(Self.hourly, catchUp: CatchUp(policy: .skip), saved: Self.saved(Self.hourly, cursor: at("2025-06-02T08:00Z")), now: now)
        #expect(job.account(upTo: now, now: now).ranges == [range(.policy, at("2025-06-02T09:00Z"), at("2025-06-02T12:00Z"), 4)])
        #expect(job.account(upTo: now, now: now).fires == [])
    }

    @Test func allRunsTheNewestUpToTheLimitInOrder() {
        let now = at("2025-06-02T12:30Z")
        let catchUp = CatchUp(policy: .all, window: .seconds(4 * 3_600), limit: 2)
        let job = Self.make(Self.hourly, catchUp: catchUp, saved: Self.saved(Self.hourly, cursor: at("2025-06-02T05:00Z")), now: now)
        let accounting = job.account(upTo: now, now: now)
        #expect(accounting.ranges == [
            range(.window, at("2025-06-02T06:00Z"), at("2025-06-02T08:00Z"), 3),
            range(.policy, at("2025-06-02T09:00Z"), at("2025-06-02T10:00Z"), 2),
        ])
        #expect(accounting.fires == [due(at("2025-06-02T11:00Z"), .catchUp), due(at("2025-06-02T12:00Z"), .catchUp)])
    }

    @Test func aFireExactlyAsOldAsTheWindowIsStillCaughtUp() {
        let now = at("2025-06-02T12:00Z")
        for (window, ranges) in [(Duration.seconds(3_600), 0), (.seconds(3_599), 1)] {
            let spec = ScheduleSpec.cron(cron("0 11 * * *"), timeZone: "UTC")
            let job = Self.make(spec, catchUp: CatchUp(window: window), saved: Self.saved(spec, cursor: at("2025-06-02T00:00Z")), now: now)
            #expect(job.account(upTo: now, now: now).ranges.count == ranges)
            #expect(job.account(upTo: now, now: now).fires.count == 1 - ranges)
        }
    }

    @Test func accountingForDecadesOfDenseFiresCostsNothing() {
        let spec = ScheduleSpec.cron(cron("* * * * * *"), timeZone: "UTC")
        let job = Self.make(spec, saved: Self.saved(spec, cursor: .epoch), now: Self.noon)
        let total = job.account(upTo: Self.noon, now: Self.noon).ranges.reduce(0) { $0 + $1.count }
        #expect(total == Self.noon.secondsFloor - 3)
        for interval in [Duration.milliseconds(1), .zero, .seconds(-5)] {
            let spec = ScheduleSpec.every(interval, phase: .zero)
            let job = Self.make(spec, saved: Self.saved(spec, cursor: .distantPast), now: Self.noon)
            #expect(job.account(upTo: Self.noon, now: Self.noon).fires.count == 1_002)
        }
    }

    @Test func refusedFiresAreOneRange() {
        let now = Self.noon + .seconds(600)
        let job = Self.make(Self.everyMinute)
        let accounting = job.refuse(upTo: now, reason: .paused)
        #expect(accounting.ranges == [range(.paused, Self.noon + .seconds(60), now, 10)])
        #expect(accounting.fires == [])
        #expect(accounting.cursor == now)
        #expect(Self.make(Self.everyMinute).refuse(upTo: Self.noon, reason: .paused).ranges == [])
    }

    // MARK: Calendar

    /// Monday to Friday, 09:00–17:00 UTC.
    static let office = BusinessCalendar(weekly: (0..<7).map { (1...5).contains($0) ? [.init(open: 9 * 3_600, close: 17 * 3_600)] : [] })

    @Test func firesOutsideTheCalendarAreSkipped() {
        // Sunday 2025-06-01 08:00 to Monday 12:30: closed until Monday 09:00.
        let now = at("2025-06-02T12:30Z")
        let job = Self.make(
            Self.hourly, catchUp: CatchUp(policy: .all, window: .seconds(86_400)), calendar: (Self.office, .utc),
            saved: Self.saved(Self.hourly, cursor: at("2025-06-01T08:00Z")), now: now)
        let accounting = job.account(upTo: now, now: now)
        #expect(accounting.ranges == [range(.calendar, at("2025-06-01T09:00Z"), at("2025-06-02T08:00Z"), 24)])
        #expect(accounting.fires == (9...12).map { due(at("2025-06-02T00:00Z") + .seconds($0 * 3_600), .catchUp) })
        let evening = at("2025-06-02T17:00Z")
        var open = job
        open.advance(to: at("2025-06-02T16:00Z"))
        #expect(open.account(upTo: evening, now: evening).ranges == [range(.calendar, evening, evening, 1)])
        #expect(open.account(upTo: evening, now: evening).cursor == evening)
    }

    @Test func latestIsTheNewestThatTheCalendarAllows() {
        let sunday = at("2025-06-08T12:30Z")
        let job = Self.make(
            Self.hourly, catchUp: CatchUp(window: .seconds(7 * 86_400)), calendar: (Self.office, .utc),
            saved: Self.saved(Self.hourly, cursor: at("2025-06-06T14:00Z")), now: sunday)
        let accounting = job.account(upTo: sunday, now: sunday)
        #expect(accounting.fires == [due(at("2025-06-06T16:00Z"), .catchUp)])
        #expect(accounting.ranges == [
            range(.policy, at("2025-06-06T15:00Z"), at("2025-06-06T15:00Z"), 1),
            range(.calendar, at("2025-06-06T17:00Z"), at("2025-06-08T12:00Z"), 44),
        ])
    }

    @Test func aRunBetweenTwoRangesKeepsThemApart() {
        // Friday 16:00 runs; the closed hours before 09:00 and after 17:00 are not consecutive.
        let now = at("2025-06-06T18:30Z")
        let job = Self.make(
            Self.hourly, catchUp: CatchUp(policy: .all), calendar: (Self.office, .utc), saved: Self.saved(Self.hourly, cursor: at("2025-06-06T06:30Z")), now: now)
        let accounting = job.account(upTo: now, now: now)
        #expect(accounting.fires.count == 8)
        #expect(accounting.ranges == [
            range(.calendar, at("2025-06-06T07:00Z"), at("2025-06-06T08:00Z"), 2),
            range(.calendar, at("2025-06-06T17:00Z"), at("2025-06-06T18:00Z"), 2),
        ])
    }

    @Test func anAncientCursorDoesNotWalkTheCalendarOfCenturies() {
        let job = Self.make(
            Self.everyMinute, catchUp: CatchUp(window: .seconds(1_000_000_000_000)), calendar: (Self.office, .utc),
            saved: Self.saved(Self.everyMinute, cursor: .distantPast))
        let ranges = job.account(upTo: Self.noon, now: Self.noon).ranges
        #expect(ranges.count < 1_000)
        #expect(ranges.first?.reason == .window)
    }

    // MARK: Once

    @Test func onceFiresOnce() {
        let fire = Self.noon + .seconds(100)
        var job = Self.make(.once(fire))
        #expect(job.nextFire() == fire)
        #expect(job.account(upTo: fire, now: fire).fires == [due(fire, .schedule)])
        job.advance(to: fire)
        #expect(job.nextFire() == nil)
        #expect(Self.make(.once(Self.noon)).nextFire() == nil)
        #expect(Self.make(.once(Self.noon - .seconds(1))).nextFire() == nil)
    }

    @Test func onceIsCaughtUpInsideTheWindowAndMissedAfterIt() {
        let fire = Self.noon - .seconds(100)
        let before = Self.saved(.once(fire), cursor: fire - .seconds(1_000))
        let late = Self.make(.once(fire), saved: before)
        #expect(late.account(upTo: Self.noon, now: Self.noon).fires == [due(fire, .catchUp)])
        let tooLate = Self.make(.once(fire), catchUp: CatchUp(window: .seconds(99)), saved: before)
        #expect(tooLate.account(upTo: Self.noon, now: Self.noon).fires == [])
        #expect(tooLate.account(upTo: Self.noon, now: Self.noon).ranges == [range(.window, fire, fire, 1)])
    }

    @Test func jobsWithoutTimesOfTheirOwnNeverFire() {
        for spec in [ScheduleSpec.none, .after(job: "other")] {
            #expect(Self.make(spec).nextFire() == nil)
            #expect(Self.make(spec).account(upTo: Self.noon, now: Self.noon).cursor == Self.noon)
        }
    }

    // MARK: Fixed delay and adaptive

    @Test func fixedDelayCountsFromTheEndOfTheRun() {
        var job = Self.make(.afterFinish(.seconds(10)))
        #expect(job.nextFire() == Self.noon + .seconds(10))
        job.advance(to: Self.noon + .seconds(10))
        job.runStarted()
        #expect(job.nextFire() == nil)
        job.runFinished(outcome: .succeeded, items: 0, at: Self.noon + .seconds(25))
        #expect(job.nextFire() == Self.noon + .seconds(35))
    }

    @Test func fixedDelayGoesOnAfterAFireThatLedToNoRun() {
        var job = Self.make(.afterFinish(.seconds(10)))
        job.advance(to: Self.noon + .seconds(10))
        #expect(job.nextFire() == Self.noon + .seconds(20))
    }

    @Test func fixedDelayIsDueOnceAfterDowntime() {
        let spec = ScheduleSpec.afterFinish(.seconds(10))
        let saved = Self.saved(spec, cursor: Self.noon - .seconds(7_200), finished: Self.noon - .seconds(7_190))
        let job = Self.make(spec, saved: saved)
        let accounting = job.account(upTo: Self.noon, now: Self.noon)
        #expect(accounting.fires == [due(Self.noon - .seconds(7_180), .catchUp)])
        #expect(accounting.ranges == [])
    }

    @Test func aMissedFixedDelayStartsAnewFromNow() {
        let spec = ScheduleSpec.afterFinish(.seconds(10))
        let saved = Self.saved(spec, cursor: Self.noon - .seconds(7_200))
        var job = Self.make(spec, catchUp: CatchUp(policy: .skip), saved: saved)
        let accounting = job.account(upTo: Self.noon, now: Self.noon)
        #expect(accounting.ranges == [range(.policy, Self.noon - .seconds(7_190), Self.noon - .seconds(7_190), 1)])
        #expect(accounting.cursor == Self.noon)
        job.advance(to: accounting.cursor)
        #expect(job.nextFire() == Self.noon + .seconds(10))
    }

    @Test func adaptiveHalvesAfterItemsAndDoublesAfterNothingToDo() {
        var job = Self.make(.adaptive(min: .seconds(5), max: .seconds(60)))
        var intervals: [Duration] = []
        for (outcome, items) in [
            (Outcome.nothingToDo, 0), (.nothingToDo, 0), (.nothingToDo, 0), (.nothingToDo, 0), (.nothingToDo, 0), (.succeeded, 0),
            (.failed, 0), (.succeeded, 3), (.crashed, 1), (.succeeded, 1), (.succeeded, 1), (.succeeded, 1),
        ] as [(Outcome, UInt64)] {
            job.runStarted()
            job.runFinished(outcome: outcome, items: items, at: Self.noon)
            intervals.append(job.adaptiveInterval ?? .zero)
        }
        #expect(intervals.map(\.milliseconds) == [10_000, 20_000, 40_000, 60_000, 60_000, 60_000, 60_000, 30_000, 15_000, 7_500, 5_000, 5_000])
    }

    @Test func adaptiveIntervalSurvivesARestartInsideItsBounds() {
        let spec = ScheduleSpec.adaptive(min: .seconds(5), max: .seconds(60))
        for (kept, expected) in [(Duration.seconds(20), Duration.seconds(20)), (.seconds(1), .seconds(5)), (.seconds(500), .seconds(60))] {
            let saved = Self.saved(spec, cursor: Self.noon, adaptive: kept, finished: Self.noon + .seconds(3))
            let job = Self.make(spec, saved: saved, now: Self.noon + .seconds(4))
            #expect(job.adaptiveInterval == expected)
            #expect(job.nextFire() == Self.noon + .seconds(3) + expected)
        }
        #expect(Self.make(Self.hourly, saved: Self.saved(spec, cursor: Self.noon, adaptive: .seconds(9))).adaptiveInterval == nil)
    }

    // MARK: Edits

    @Test func dueTimesUpToAnEditFollowTheOldRule() {
        var job = Self.make(Self.everyMinute, catchUp: CatchUp(policy: .all))
        let edit = Self.noon + .seconds(150)
        job.replace(spec: .every(.seconds(7), phase: .zero), zone: .utc, catchUp: CatchUp(policy: .all), calendar: nil, jitter: .zero, now: edit)
        #expect(job.nextFire() == Self.noon + .seconds(60))
        let accounting = job.account(upTo: edit, now: edit)
        #expect(accounting.fires == [due(Self.noon + .seconds(60), .catchUp), due(Self.noon + .seconds(120), .catchUp)])
        #expect(accounting.cursor == edit)
        job.advance(to: accounting.cursor)
        let next = Schedule(spec: .every(.seconds(7), phase: .zero), zone: .utc).next(after: edit)
        #expect(job.nextFire() == next)
    }

    @Test("An edit that lies ahead, since the clock was set back, gives way to the next one at once")
    func anEditAfterTheClockWasSetBack() {
        var job = Self.make(Self.everyMinute)
        func edit(_ spec: ScheduleSpec, at now: Instant) {
            job.replace(spec: spec, zone: .utc, catchUp: CatchUp(), calendar: nil, jitter: .zero, now: now)
        }
        edit(.every(.seconds(7), phase: .zero), at: Self.noon + .seconds(3600))
        edit(Self.hourly, at: Self.noon + .seconds(150))
        // The rule of minutes holds up to there, then that of hours; the one of seven seconds never did.
        let accounting = job.account(upTo: Self.noon + .seconds(150), now: Self.noon + .seconds(150))
        #expect(accounting.cursor == Self.noon + .seconds(150))
        #expect(accounting.fires.count + accounting.ranges.count == 2)
        job.advance(to: accounting.cursor)
        #expect(job.isSettled)
        #expect(job.nextFire() == Self.noon + .seconds(3600))
    }

    @Test func anEditDuringDowntimeIsAccountedByTheStoredRule() {
        let now = at("2025-06-02T12:30Z")
        let job = Self.make(
            Self.everySecond, catchUp: CatchUp(policy: .all), saved: Self.saved(Self.hourly, cursor: at("2025-06-02T10:00Z")), now: now)
        #expect(job.cursor == at("2025-06-02T10:00Z"))
        let accounting = job.account(upTo: now, now: now)
        #expect(accounting.fires == [due(at("2025-06-02T11:00Z"), .catchUp), due(at("2025-06-02T12:00Z"), .catchUp)])
        #expect(accounting.ranges == [])
        #expect(accounting.cursor == now)
    }

    @Test func aStoredRuleThatCannotBeReadAccountsForNothing() {
        let saved = JobSchedule.Saved(cursor: Self.noon - .seconds(100), scheduleText: "fortnightly")
        let job = Self.make(Self.everyMinute, saved: saved)
        #expect(job.cursor == Self.noon - .seconds(100))
        #expect(job.nextFire() == Self.noon + .seconds(60))
        let accounting = job.account(upTo: Self.noon, now: Self.noon)
        #expect(accounting.fires == [] && accounting.ranges == [] && accounting.cursor == Self.noon)
    }

    @Test func theZoneOfAStoredRuleIsLookedUp() {
        struct Zones: ZoneSource {
            func zone(named name: String) throws(ZoneError) -> Zone { SystemZones.zone(name) }
        }
        let now = at("2025-06-02T12:30Z")
        let old = ScheduleSpec.cron(cron("0 9 * * *"), timeZone: "Europe/Berlin")
        let job = JobSchedule(
            spec: Self.hourly, zone: .utc, catchUp: CatchUp(), calendar: nil, jitter: .zero, seed: 1,
            saved: Self.saved(old, cursor: at("2025-06-02T00:00Z")), now: now, zones: Zones())
        #expect(job.account(upTo: now, now: now).fires == [due(at("2025-06-02T07:00Z"), .catchUp)])
    }

    @Test func aFixedDelayThatBecomesCronGivesUpOnlyItsFuture() {
        var job = Self.make(.afterFinish(.seconds(10)))
        job.replace(spec: Self.hourly, zone: .utc, catchUp: CatchUp(), calendar: nil, jitter: .zero, now: Self.noon + .seconds(5))
        #expect(job.nextFire() == at("2025-06-02T13:00Z"))
        var late = Self.make(.afterFinish(.seconds(10)))
        late.replace(spec: Self.hourly, zone: .utc, catchUp: CatchUp(), calendar: nil, jitter: .zero, now: Self.noon + .seconds(15))
        #expect(late.nextFire() == Self.noon + .seconds(10))
    }

    @Test func anEditOfOtherKeysKeepsTheRule() {
        var job = Self.make(Self.everyMinute)
        job.replace(spec: Self.everyMinute, zone: .utc, catchUp: CatchUp(policy: .skip), calendar: nil, jitter: .seconds(5), now: Self.noon + .seconds(600))
        #expect(job.nextFire() == Self.noon + .seconds(60))
        #expect(job.account(upTo: Self.noon + .seconds(90), now: Self.noon + .seconds(90)).ranges.map(\.reason) == [.policy])
    }

    @Test func everyRuleIsReadBackFromItsText() {
        for spec in [
            Self.everySecond, .every(.milliseconds(1_500), phase: .seconds(-2)), .afterFinish(.seconds(10)), .once(Self.noon), .none,
            .adaptive(min: .seconds(5), max: .seconds(60)), .after(job: "other job"),
            .cron(cron("*/10 * * * * *"), timeZone: "Europe/Berlin"), .cron(cron("@daily"), timeZone: "UTC"),
        ] { #expect(ScheduleSpec(text: spec.text) == spec) }
        for text in ["", "cron", "cron UTC", "cron * * UTC", "every 5s", "every us", "every 5us phase", "every 5us after lunch", "at noon", "none x", "adaptive 1us"] {
            #expect(ScheduleSpec(text: text) == nil, "\(text)")
        }
    }

    // MARK: Clock steps, jitter

    @Test func steppingBackNeverFiresTwice() {
        var job = Self.make(Self.everyMinute)
        job.advance(to: Self.noon + .seconds(600))
        for back in stride(from: 0, through: 600, by: 30) {
            let now = Self.noon + .seconds(600 - back)
            #expect(job.account(upTo: now + .seconds(2), now: now).fires.allSatisfy { $0.fire > Self.noon + .seconds(600) })
        }
    }

    @Test func aCursorFarInTheFutureGoesBackToNow() {
        var job = Self.make(Self.everyMinute)
        job.advance(to: Self.noon + .seconds(2))
        let isPreclaim = !job.rewind(now: Self.noon)
        #expect(isPreclaim)
        #expect(job.cursor == Self.noon + .seconds(2))
        job.advance(to: Self.noon + .seconds(100_000))
        let wentBack = job.rewind(now: Self.noon)
        #expect(wentBack)
        #expect(job.nextFire() == Self.noon + .seconds(60))
    }

    @Test func jitterIsStableAndNeverReachesTheNextFire() {
        var random = SeededGenerator(seed: 5)
        var starts: Set<Instant> = []
        for _ in 0..<500 {
            let jitter = Duration.milliseconds(Int64.random(in: 1...200_000, using: &random))
            let job = Self.make(Self.everyMinute, jitter: jitter)
            let fire = Self.noon + .seconds(60 * Int.random(in: 0...10_000, using: &random))
            let start = job.startTime(of: fire)
            #expect(start >= fire && start < fire + min(jitter, .seconds(60)))
            #expect(start == job.startTime(of: fire))
            starts.insert(start)
        }
        #expect(starts.count > 450)
        #expect(Self.make(Self.everyMinute).startTime(of: Self.noon) == Self.noon)
        #expect(Self.make(.once(Self.noon + .seconds(5)), jitter: .seconds(9)).startTime(of: Self.noon + .seconds(5)) < Self.noon + .seconds(14))
    }

    // MARK: Property

    /// The promise: every due time in exactly one entry, whatever the host lives through.
    @Test func everyDueTimeEndsInExactlyOneEntry() {
        var random = SeededGenerator(seed: 0x1ED6E4)
        for _ in 0..<300 {
            let spec = [Self.everyMinute, Self.hourly, .every(.milliseconds(700), phase: .milliseconds(13)), .cron(cron("*/7 9-16 * * MON-FRI"), timeZone: "UTC")]
                .randomElement(using: &random)!
            let catchUp = CatchUp(
                policy: CatchUpPolicy.allCases.randomElement(using: &random)!, window: .seconds(Int.random(in: 0...20_000, using: &random)),
                limit: Int.random(in: 0...5, using: &random))
            let calendar: (BusinessCalendar, Zone)? = Bool.random(using: &random) ? (Self.office, .utc) : nil
            var now = Self.noon + .microseconds(Int64.random(in: 0...100_000_000_000, using: &random))
            var job = Self.make(spec, catchUp: catchUp, calendar: calendar, now: now)
            let start = now
            var runs: [Instant] = []
            var ranges: [FireRange] = []
            for _ in 0..<6 {
                now = now + .microseconds(Int64.random(in: 1...(Bool.random(using: &random) ? 3_000_000 : 90_000_000_000), using: &random))
                let accounting = job.account(upTo: now + .milliseconds(Int64.random(in: 0...2_000, using: &random)), now: now)
                #expect(accounting.cursor >= job.cursor)
                runs += accounting.fires.map(\.fire)
                ranges += accounting.ranges
                job.advance(to: accounting.cursor)
            }
            let schedule = Schedule(spec: spec, zone: .utc)
            #expect(Int64(runs.count) + ranges.reduce(0) { $0 + $1.count } == schedule.count(after: start, upTo: job.cursor))
            #expect(runs == runs.sorted() && Set(runs).count == runs.count)
            for range in ranges {
                #expect(range.first <= range.last && !runs.contains { range.first <= $0 && $0 <= range.last })
                #expect(schedule.count(after: range.first - .microseconds(1), upTo: range.last) == range.count)
            }
            for (a, b) in zip(ranges, ranges.dropFirst()) { #expect(a.last < b.first) }
        }
    }

    /// The same over edits: up to each the rule before it, then the next.
    @Test func everyDueTimeOverEditsEndsInExactlyOneEntry() {
        var random = SeededGenerator(seed: 0xED17)
        let specs: [ScheduleSpec] = [Self.everyMinute, Self.hourly, .every(.milliseconds(700), phase: .milliseconds(13)), .cron(cron("*/7 9-16 * * *"), timeZone: "UTC")]
        for _ in 0..<300 {
            var now = Self.noon + .microseconds(Int64.random(in: 0...100_000_000_000, using: &random))
            var spec = specs.randomElement(using: &random)!
            var job = Self.make(spec, catchUp: CatchUp(policy: .all), now: now)
            var ruleFrom = now
            var expected: Int64 = 0
            var found: Int64 = 0
            for _ in 0..<8 {
                now = now + .microseconds(Int64.random(in: 1...20_000_000_000, using: &random))
                switch Int.random(in: 0..<3, using: &random) {
                case 0:
                    expected += Schedule(spec: spec, zone: .utc).count(after: ruleFrom, upTo: now)
                    (spec, ruleFrom) = (specs.randomElement(using: &random)!, now)
                    job.replace(spec: spec, zone: .utc, catchUp: CatchUp(policy: .all), calendar: nil, jitter: .zero, now: now)
                case 1:
                    // A restart: only what was stored is left, and the text is that of the stored rule.
                    guard job.isSettled else { continue }
                    let old = spec
                    expected += Schedule(spec: spec, zone: .utc).count(after: ruleFrom, upTo: now)
                    (spec, ruleFrom) = (specs.randomElement(using: &random)!, now)
                    job = Self.make(spec, catchUp: CatchUp(policy: .all), saved: Self.saved(old, cursor: job.cursor), now: now)
                    if spec == old { #expect(job.isSettled) }
                default:
                    let accounting = job.account(upTo: now, now: now)
                    found += Int64(accounting.fires.count) + accounting.ranges.reduce(0) { $0 + $1.count }
                    job.advance(to: accounting.cursor)
                    #expect(job.isSettled)
                }
            }
            let accounting = job.account(upTo: now, now: now)
            found += Int64(accounting.fires.count) + accounting.ranges.reduce(0) { $0 + $1.count }
            expected += Schedule(spec: spec, zone: .utc).count(after: ruleFrom, upTo: now)
            #expect(found == expected)
        }
    }
}
