import JobConfig
import JobCore
import JobStore

@testable import JobHost

/// A day of a busy host: a thousand jobs of twenty plugins, as many faults as a bad week has.
extension SimulatedWorld {
    static let plugins = 20
    static let onTrial = 5

    func plugin(of request: AttemptRequest) -> String { configs[request.job]?.plugin ?? plans[request.job]?.config.plugin ?? "" }

    // MARK: Jobs

    mutating func jobOfDay(_ name: String) -> JobConfig {
        let number = Int(name.dropFirst(3)) ?? 0
        let minute = Duration.seconds(60)
        let phase = minute * Int64(random.next() % 60)
        let spec: ScheduleSpec
        switch random.next() % 100 {
        case 0..<2: spec = .every(minute * 5, phase: .zero)
        case 2..<8: spec = .every(minute * 30, phase: .zero)
        case 8..<30: spec = .every(minute * 60, phase: phase)
        case 30..<34: spec = .afterFinish(minute * 20)
        case 34..<38: spec = .adaptive(min: minute * 10, max: minute * 120)
        case 38..<44: spec = .none
        case 44..<48: spec = .once(now.wall + phase * 20)
        case 48..<52: spec = .cron(Self.often, timeZone: "UTC")
        case 52..<80: spec = .cron(pick(Self.daily), timeZone: "UTC")
        default: spec = .every(minute * 360, phase: phase)
        }
        var config = SimulatedHost.job(name, spec) { $0.plugin = "p\(number % Self.plugins)" }
        config.overlap = pick([.skip, .skip, .queue, .allow])
        config.concurrency = pick([1, 1, 2, 3])
        config.priority = pick([0, 0, 5, -5])
        config.isolate = chance(3)
        config.jitter = pick([.zero, .zero, .seconds(20)])
        config.enabled = !chance(3)
        config.catchUp = CatchUp(policy: pick([.skip, .latest, .all]), window: pick([.seconds(3_600), .seconds(86_400)]), limit: 4)
        config.retry = RetryPolicy(maxAttempts: pick([1, 3]), initial: .seconds(5), max: minute)
        config.breaker = chance(30) ? nil : BreakerPolicy(
            failures: pick([2, 3]), window: chance(50) ? minute * 90 : nil, openFor: minute * pick([2, 20, 90]), successes: pick([1, 2]))
        return config
    }

    private static let often = cron("*/20 * * * *")
    private static let daily = (0..<48).map { cron("\($0 * 7 % 60) \($0 / 2) * * *") }
    private static func cron(_ text: String) -> CronExpression {
        do { return try CronExpression(text) } catch { preconditionFailure("\(text): \(error)") }
    }

    mutating func editSomeOfDay() {
        for number in 0..<scenario.jobs {
            let name = "job\(number)"
            if configs[name] == nil {
                if chance(30) { editJob(name) }
            } else if chance(1) {
                configs[name] = nil
            } else if chance(3) {
                editJob(name)
            }
        }
        workers = pick([4, 8])
    }

    // MARK: The order of things

    mutating func runDay() {
        planTrouble()
        pass(until: now.monotonic + .seconds(60 * Int64(scenario.steps)))
        guard violation == nil else { return }
        day.outages = [:]
        calmDown()
        // Every backlog, opening and held clock is over by then; and a while in which nobody looks for what was forgotten.
        pass(until: now.monotonic + .seconds(3 * 3_600))
        sweeps = false
        pass(until: now.monotonic + .seconds(1_800))
        settle()
        checkState()
        checkEnd()
    }

    private mutating func pass(until end: MonotonicInstant) {
        var turns = 0
        var at = now.monotonic
        while now.monotonic < end, violation == nil {
            turns = now.monotonic == at ? turns + 1 : 0
            at = now.monotonic
            if turns > 20_000 { return faults.append("it spins at \(now.wall.rfc3339), woken at \(wakeAt?.rfc3339 ?? "never")") }
            var wait = end - now.monotonic
            if let next = day.next { wait = min(wait, max(next - now.monotonic, .zero)) }
            let stands = max(day.clockStands - now.monotonic, .zero)
            if let wakeAt { wait = min(wait, max(wakeAt - now.wall + stands, .zero)) }
            if let next = ahead.next { wait = min(wait, max(next - now.monotonic, .zero)) }
            if sweeps { wait = min(wait, max(lastSweep + .seconds(30) - now.monotonic, .zero)) }
            let standing = min(stands, wait)
            now = Now(wall: now.wall + (wait - standing), monotonic: now.monotonic + wait)
            latest = max(latest, now.wall)
            beginDue()
            if sweeps, now.monotonic >= lastSweep + .seconds(30) {
                sweep()
                releaseStrays()
            }
            if let wakeAt, now.wall >= wakeAt { send(.tick) }
            while violation == nil, let event = day.take(now.monotonic) { happens(event) }
        }
    }

    private mutating func happens(_ event: SimulatedDay.Event) {
        switch event {
        case .commit:
            day.planned.remove("commit")
            commit()
        case .deliver:
            day.planned.remove("deliver")
            deliver()
        case .write:
            day.planned.remove("write")
            writeRecords()
        case .work(let run):
            work(run)
            if let began = room[run]?.since { day.plan(.work(run), at: now.monotonic + duration(of: run, began)) }
        case .trouble:
            if isPrompt { return }
            trouble()
            planTrouble()
        case .storeIsBack:
            note("the store is back")
            isAway = false
        case .hostGoesOn:
            store.hostControl.paused = false
            perform(dispatcher.setHostControl(store.hostControl, now: now))
        case .decided(let plugin, let decision): obey(decision, plugin)
        }
        goOn()
    }

    /// What is asked for is answered in a while.
    mutating func goOn() {
        guard scenario.isDay else { return }
        func plan(_ name: String, _ event: SimulatedDay.Event, _ isWanted: Bool, _ world: inout SimulatedWorld) {
            guard isWanted, world.day.planned.insert(name).inserted else { return }
            world.day.plan(event, at: world.now.monotonic + world.latency())
        }
        plan("commit", .commit, !calls.isEmpty, &self)
        plan("deliver", .deliver, !answers.isEmpty, &self)
        plan("write", .write, !records.isEmpty, &self)
        day.performed += 1
        if day.performed % 2_000 == 0 { checkState() }
    }

    private mutating func latency() -> Duration {
        if isAway { return .milliseconds(250) }
        if scenario.faults.contains(.slowStore), !isPrompt, chance(1) { return pick([.milliseconds(500), .seconds(5), .seconds(40)]) }
        return .milliseconds(1)
    }

    private mutating func duration(of run: RunID, _ began: Instant) -> Duration {
        isPrompt ? .milliseconds(50) : pick([.milliseconds(5), .milliseconds(5), .milliseconds(400), .seconds(9), .seconds(300)])
    }

    // MARK: Faults

    private mutating func planTrouble() { day.plan(.trouble, at: now.monotonic + .seconds(Int64(60 + random.next() % 900))) }

    private mutating func trouble() {
        let kinds = Fault.allCases.filter { scenario.faults.contains($0) }
        guard !kinds.isEmpty else { return }
        switch pick(kinds) {
        case .slowStore, .returns, .lostAnswers: break
        case .storeAway:
            note("the store is away")
            isAway = true
            day.plan(.storeIsBack, at: now.monotonic + pick([.seconds(1), .seconds(30), .seconds(900)]))
        case .badEnds: day.outages["p\(random.next() % UInt64(Self.plugins))"] = now.monotonic + .seconds(Int64(60 + random.next() % 7_200))
        case .operators:
            operate()
            if store.hostControl.paused { day.plan(.hostGoesOn, at: now.monotonic + pick([.seconds(20), .seconds(700)])) }
            if let run = room.keys.sorted().first, chance(30) { perform(dispatcher.cancel(run, now: now)) }
        case .breakers: operateBreaker()
        case .reloads: if !dispatcher.clock.isHolding { reload() }
        case .deaths: if chance(30) { die() }
        case .smallSteps: setClock(by: pick([.seconds(-2), .seconds(1), .seconds(-90), .seconds(120), .milliseconds(-300)]))
        case .jumps: if chance(20) { setClock(by: pick([.seconds(3_600), .seconds(-3_600), .seconds(86_400)])) }
        case .enqueues: enqueue()
        case .standstill: standStill()
        case .canaries: if !dispatcher.clock.isHolding { changeLibrary() }
        }
    }

    private mutating func standStill() {
        if chance(50) {
            note("the wall clock stands still")
            day.clockStands = now.monotonic + pick([.seconds(1), .seconds(50), .seconds(500)])
        } else {
            note("the host stands still")
            pass(pick([.seconds(3), .seconds(120), .seconds(1_500)]))
        }
    }

    // MARK: Workers

    mutating func beginDaysRun(_ request: AttemptRequest) {
        let plugin = plugin(of: request)
        day.plan(.work(request.run), at: now.monotonic + .milliseconds(1))
        checkBreaker(request.job)
        guard let fresh = day.canaries[plugin]?.fresh, day.canaries[plugin]?.takes(request.run) == true else {
            let library = day.libraries[plugin] ?? "h"
            day.beside[request.run] = library
            if day.rolledBack.contains(library) { faults.append("library \(library) was rolled back, and serves run \(request.run)") }
            return
        }
        day.onTrial[request.run] = fresh
        day.begunOnTrial[fresh, default: 0] += 1
        if day.begunOnTrial[fresh]! > Self.onTrial { faults.append("library \(fresh) was given more runs than its trial has") }
        if day.rolledBack.contains(fresh) { faults.append("library \(fresh) was rolled back, and serves run \(request.run)") }
    }

    mutating func outcomeOfDay(_ request: AttemptRequest) -> Outcome {
        if let fresh = day.onTrial[request.run], day.bad.contains(fresh) { return .crashed }
        if isPrompt { return .succeeded }
        if let until = day.outages[plugin(of: request)], now.monotonic < until, !chance(10) { return pick([.failed, .retry, .timedOut, .crashed]) }
        if scenario.faults.contains(.badEnds), chance(4) { return pick([.failed, .retry, .crashed, .timedOut, .snoozed, .nothingToDo, .cancelled]) }
        return .succeeded
    }

    mutating func endDaysRun(_ request: AttemptRequest, _ outcome: Outcome) {
        checkBreaker(request.job)
        let plugin = plugin(of: request)
        let (fresh, served) = (day.onTrial.removeValue(forKey: request.run), day.beside.removeValue(forKey: request.run))
        // It says nothing of the library: another one takes its place.
        if let fresh, outcome == .cancelled { day.begunOnTrial[fresh, default: 0] -= 1 }
        let isBroken = outcome == .crashed || outcome == .timedOut
        guard let trial = day.canaries[plugin] else { return }
        // A run may have begun before the trial, and be of an older library, or of one that was on trial then.
        let library = fresh ?? served ?? ""
        if isBroken, library == trial.old { day.crashedBeside.insert(plugin) }
        guard trial.decision == nil else { return }
        let decision = day.canaries[plugin]!.ended(request.run, job: request.job, library: library, outcome, reason: "")
        switch decision {
        case .takeOver?:
            if day.canaries[plugin]!.tally.ended < Self.onTrial { faults.append("library \(trial.fresh) takes over before its trial is over") }
        case .rollBack?:
            day.rolledBack.insert(trial.fresh)
            let tally = day.canaries[plugin]!.tally
            if tally.failed + tally.broke == 0 { faults.append("library \(trial.fresh) is rolled back, and none of its runs was bad") }
        case nil:
            if fresh == trial.fresh, isBroken, !day.crashedBeside.contains(plugin) {
                faults.append("library \(trial.fresh) has crashed where the old one has not, and is not rolled back")
            }
        }
        if let decision { day.plan(.decided(plugin: plugin, decision), at: now.monotonic + .seconds(1)) }
    }

    // MARK: Libraries

    private mutating func changeLibrary() {
        let plugin = "p\(random.next() % UInt64(Self.plugins))"
        guard day.canaries[plugin] == nil else { return }
        day.versions += 1
        let fresh = "\(plugin)-\(day.versions)"
        if chance(40) { day.bad.insert(fresh) }
        let isBad = day.bad.contains(fresh)
        note("library \(fresh) is on trial\(isBad ? ", and crashes" : "")")
        day.crashedBeside.remove(plugin)
        day.canaries[plugin] = CanaryTrial(plugin: plugin, old: day.libraries[plugin] ?? "h", fresh: fresh, wanted: Self.onTrial)
        serveAgain()
    }

    private mutating func obey(_ decision: CanaryTrial.Decision, _ plugin: String) {
        guard let trial = day.canaries.removeValue(forKey: plugin) else { return }
        if case .takeOver = decision { day.libraries[plugin] = trial.fresh }
        if planted == .deafTrial { day.libraries[plugin] = trial.fresh }
        note("library \(trial.fresh): \(decision)")
        serveAgain()
    }

    /// The next generation, of the same config.
    private mutating func serveAgain() {
        generation += 1
        let next = nextGeneration()
        perform(dispatcher.apply(next, rows: store.states, states: [:], now: now))
    }
}
