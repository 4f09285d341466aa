import JobConfig
import JobCore
import JobStore

@testable import JobHost

/// A host with a store that answers late or not at all, workers that end in every way, operators,
/// reloads, a clock that is set, and its own death. Everything follows from the scenario.
struct SimulatedWorld: ~Copyable {
    enum Fault: CaseIterable {
        case slowStore, storeAway, badEnds, returns, operators, breakers, reloads, deaths, smallSteps, jumps, enqueues
        /// What the store was asked for is done, and its answer says that the store could not.
        case lostAnswers
        /// Of the day: the clock stands still, or the whole host does; a changed library is on trial.
        case standstill, canaries
    }
    struct Scenario {
        var seed: UInt64
        var steps: Int
        var jobs: Int
        var faults: Set<Fault>
        /// A day of a busy host, of which `steps` are the minutes: SimulatedWorld+Day.swift.
        var isDay = false
        var planted: PlantedFault?
    }
    enum Call {
        case claims([FireClaim])
        case moves([CursorMove])
        case waiting([String: Int])
        case refresh([String])
    }
    enum Answer {
        case event(Dispatcher.Event)
        case refresh([String])
    }
    enum Record {
        case complete(Completion)
        case refuse(Refusal)
        case release(HeldClaim)
    }

    let scenario: Scenario
    var random: SeededGenerator
    var now: Now { didSet { store.now = now.wall } }
    var store = SimulatedStore()
    var dispatcher: Dispatcher
    var configs: [String: JobConfig] = [:]
    var idempotent: [String: Bool] = [:]
    var workers = 2
    var epoch = 1
    var generation: Int64 = 0
    /// As the serving generation has them: what has not changed is the same object in the next one.
    var plans: [String: ResolvedJob] = [:]
    /// Numbers store calls and edits.
    var asked = 0
    var calls: [(number: Int, call: Call)] = []
    var answers: [(number: Int, answer: Answer)] = []
    var records: [Record] = []
    var isAway = false
    /// The calm at the end: the store answers at once, runs succeed.
    var isPrompt = false
    var isSettling = false
    var wakeAt: Instant?
    /// The latest that the wall clock has ever shown.
    var latest = Instant.distantPast
    /// With the process room; `since`: its `started` has been heard.
    var room: [RunID: (request: AttemptRequest, since: Instant?)] = [:]
    /// Sent ahead of their instant; with the workers, or on their way back from there.
    var sent: [RunID: AttemptRequest] = [:]
    var ahead = RunsAhead()
    var comingBack: Set<RunID> = []
    /// Fences of attempts that began, whether the host heard of it or not: what the workers' slates
    /// have.
    var begun: Set<Int64> = []
    /// Attempts of a run that may have done something.
    var effects: [RunID: Int] = [:]
    /// What the breakers ought to do; as they are in the store, and as the host believes; as each end left them, by fence.
    var breakers: [String: BreakerModel] = [:]
    var storedBreakers: [String: BreakerModel] = [:]
    var believedBreakers: [String: BreakerModel] = [:]
    var breakersAtEnd: [Int64: BreakerModel] = [:]
    var permits: [RunID: BreakerModel.Permit] = [:]
    var strays = StrayClaims()
    /// Of the day alone.
    var day = SimulatedDay()
    /// Telling takes longer than what is told.
    let isTold: Bool
    var trace: [String] = []
    var faults: [String] = []
    var lastSweep = MonotonicInstant(microseconds: 0)
    var sweeps = true

    init(_ scenario: Scenario, isTold: Bool = true) {
        self.scenario = scenario
        self.isTold = isTold
        random = SeededGenerator(seed: scenario.seed)
        let start = Instant(rfc3339: "2026-03-01T00:00:00Z")! + .milliseconds(Int64(random.next() % 1000))
        now = Now(wall: start, monotonic: MonotonicInstant(microseconds: 1_000_000))
        store.now = start
        dispatcher = Dispatcher(settings: Self.settings(random.next()), now: now)
        for number in 0..<scenario.jobs { editJob("job\(number)") }
        begin()
    }

    static func settings(_ seed: UInt64) -> Dispatcher.Settings {
        var settings = Dispatcher.Settings()
        settings.seed = seed
        settings.sendLead = seed % 4 == 0 ? .zero : .milliseconds(200)
        return settings
    }

    var planted: PlantedFault? { scenario.planted }
    var violation: String? { store.violations.first ?? faults.first }

    // MARK: Chance
    mutating func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }
    mutating func pick<T>(_ choices: [T]) -> T { choices[Int(random.next() % UInt64(choices.count))] }
    mutating func pickJob() -> String? { configs.isEmpty ? nil : pick(configs.keys.sorted()) }

    mutating func editJob(_ name: String) {
        defer { idempotent[name] = idempotent[name] ?? chance(50) }
        if scenario.isDay { return configs[name] = jobOfDay(name) }
        let spec: ScheduleSpec = pick([
            .every(.seconds(1), phase: .zero), .every(.seconds(3), phase: .zero), .every(.seconds(7), phase: .seconds(1)),
            .every(.milliseconds(700), phase: .zero), .afterFinish(.seconds(2)),
            .adaptive(min: .seconds(1), max: .seconds(8)), .none, .every(.seconds(30), phase: .zero),
            .once(now.wall + .seconds(20)),
        ] + Self.crons)
        var config = SimulatedHost.job(name, spec)
        config.overlap = pick([.skip, .skip, .queue, .allow])
        config.concurrency = pick([1, 1, 2, 3])
        config.priority = pick([0, 0, 5, -5])
        config.isolate = chance(20)
        config.jitter = pick([.zero, .zero, .milliseconds(400)])
        config.enabled = !chance(8)
        config.catchUp = CatchUp(policy: pick([.skip, .latest, .all]), window: pick([.seconds(5), .seconds(3600)]), limit: 4)
        config.retry = RetryPolicy(maxAttempts: pick([1, 3]), initial: .milliseconds(300), max: .seconds(2))
        config.breaker = chance(30) ? nil : BreakerPolicy(
            failures: 2, window: chance(50) ? .seconds(20) : nil, openFor: .seconds(4), successes: pick([1, 2]))
        configs[name] = config
    }
    static let crons = (try? CronExpression("*/5 * * * * *")).map { [ScheduleSpec.cron($0, timeZone: "UTC")] } ?? []

    // MARK: Lives and generations
    mutating func nextGeneration() -> Generation {
        var next = SimulatedHost.generation([], idempotent: true, workers: workers, number: generation)
        for (name, config) in configs {
            let library = day.libraries[config.plugin] ?? "h"
            if let made = plans[name], made.config == config, made.libraryHash == library {
                next.jobs[name] = made
                continue
            }
            next.jobs[name] = SimulatedHost.plan(config, idempotent: idempotent[name]!, library: library)
        }
        plans = next.jobs
        let library = LibraryCopy(sha256: "h", path: "/nowhere/p.so")
        next.pools = Set(next.jobs.values.map(\.pool)).sorted().map {
            PoolSpec(key: $0, plugin: "p", library: library, maxWorkers: $0.contains("/") ? 1 : workers)
        }
        return next
    }

    /// As the supervisor begins a life: the rescue, then the first generation.
    mutating func begin() {
        generation += 1
        rescue()
        dispatcher = Dispatcher(settings: Self.settings(random.next()), now: now)
        _ = dispatcher.setHostControl(store.hostControl, now: now)
        asked += 1
        for (name, config) in configs {
            store.beginLife(name, config.schedule!, asked: asked, now: now.wall)
        }
        breakers = configs.compactMapValues { $0.breaker.map { BreakerModel(policy: $0) } }
        for (name, stored) in storedBreakers where breakers[name] != nil {
            breakers[name] = stored.afterDeath(policy: breakers[name]!.policy)
            breakers[name]!.clockWasSet(now.wall)
        }
        (breakersAtEnd, permits, strays, believedBreakers) = ([:], [:], StrayClaims(), storedBreakers)
        let story = describeAll()
        note("a life begins: \(story)")
        let waiting = store.waitingFires(upTo: now.wall + JobSchedule.preclaimReach)
        let next = nextGeneration()
        perform(dispatcher.apply(next, rows: store.states, states: [:], waitingFires: waiting, now: now))
    }

    mutating func rescue() {
        let hasProof = !chance(20)
        for id in store.live.sorted() {
            guard let row = store.rows[id], row.state == .running, row.epoch != epoch else { continue }
            let record = store.record(id, row)
            // A worker may have had no slate: then nothing proves what had not begun.
            let isUnbegun = planted == .forgetfulRescue || hasProof && !begun.contains(row.fence)
            if Rescue.givesBack(record, isUnseen: Heartbeat.provesUnseen(fire: row.fireTime, lastBeat: latest), isUnbegun: isUnbegun, now: now.wall) {
                store.release(HeldClaim(run: id, job: row.job, fence: row.fence), epoch: row.epoch)
                continue
            }
            let completion = Rescue.lost(
                record, "", isIdempotent: idempotent[row.job], policy: configs[row.job]?.retry ?? RetryPolicy(), now: now.wall)
            _ = store.complete(completion, now: now.wall)
            if hasProof, !begun.contains(row.fence) { faults.append("run \(id) counts as lost, and had not begun") }
        }
    }

    mutating func die() {
        let lost = (calls.count, answers.count, records.count)
        note("the host dies; \(lost.0) calls, \(lost.1) answers and \(lost.2) results are lost")
        // Some were begun by their workers, unheard; and what had begun may have done something.
        for (run, live) in room.sorted(by: { $0.key < $1.key }) where live.since != nil || chance(30) {
            begun.insert(live.request.fence)
            effects[run, default: 0] += 1
        }
        (calls, answers, records, room) = ([], [], [], [:])
        (sent, ahead, comingBack) = ([:], RunsAhead(), [])
        if scenario.isDay {
            day.forget()
            isAway = false
            day.plan(.trouble, at: now.monotonic + .seconds(600))
        }
        epoch += 1
        // Some time passes before somebody starts it again.
        pass(pick([.milliseconds(200), .seconds(3), .seconds(40)]) * (scenario.isDay ? 30 : 1))
        if chance(30), scenario.faults.contains(.reloads) { editSome() }
        begin()
    }

    mutating func editSome() {
        if scenario.isDay { return editSomeOfDay() }
        for number in 0..<scenario.jobs where chance(30) {
            let name = "job\(number)"
            if configs[name] != nil, chance(25) { configs[name] = nil } else { editJob(name) }
        }
        workers = pick([1, 2, 4])
    }

    mutating func reload() {
        let before = configs
        editSome()
        generation += 1
        asked += 1
        for name in Set(before.keys).union(configs.keys) {
            let spec = configs[name]?.schedule ?? .none
            if dispatcher.index[name] == nil {
                store.beginLife(name, spec, asked: asked, now: now.wall)
            } else {
                store.begin(name, spec, asked: asked, now: now.wall)
            }
        }
        let story = describeAll()
        note("reload: \(story)")
        for (name, config) in configs {
            guard let policy = config.breaker else { breakers[name] = nil; continue }
            if breakers[name] == nil {
                breakers[name] = believedBreakers[name]?.afterDeath(policy: policy) ?? BreakerModel(policy: policy)
                // What began before it was taken out says nothing of it.
                for (run, live) in room where live.request.job == name { permits[run] = nil }
            }
            breakers[name]!.policy = policy
            breakers[name]!.clockWasSet(now.wall)
        }
        // The shell reads the rows just before.
        let next = nextGeneration()
        perform(dispatcher.apply(next, rows: store.states, states: [:], now: now))
    }

    func describeAll() -> String {
        isTold && !scenario.isDay ? configs.values.map { describe($0) }.sorted().joined(separator: "; ") : "\(configs.count) jobs"
    }

    func describe(_ config: JobConfig) -> String {
        "\(config.name) \(config.schedule!.text) \(config.overlap) ×\(config.concurrency) \(config.catchUp.policy)"
            + (config.enabled ? "" : " off") + (config.isolate ? " isolated" : "")
    }

    // MARK: Performing
    mutating func note(_ text: @autoclosure () -> String) {
        guard isTold else { return }
        let text = text()
        trace.append("\(now.wall.rfc3339.dropFirst(11)) \(text)")
        if trace.count > 60, !scenario.isDay { trace.removeFirst(20) }
    }

    mutating func perform(_ actions: DispatchActions) {
        wakeAt = actions.wakeAt
        for request in actions.starts { if request.notBefore == nil { start(request) } else { sendAhead(request) } }
        if planted == .runTwice, let first = actions.starts.first(where: { $0.notBefore == nil }) { start(first) }
        for run in actions.takeBacks { takeBack(run) }
        ask(actions)
        for cancel in actions.cancels { note("cancel \(cancel.run)") }
        for refusal in actions.refusals { records.append(.refuse(refusal)) }
        for (job, completion) in actions.completions {
            records.append(.complete(completion))
            if completion.breaker != nil { believedBreakers[job] = breakersAtEnd[completion.fence] }
        }
        for claim in actions.releases { records.append(.release(claim)) }
        if scenario.isDay { return goOn() }
        checkState()
        if !scenario.faults.contains(.slowStore) || isPrompt { settle() }
    }

    mutating func ask(_ actions: DispatchActions) {
        func add(_ call: Call) {
            asked += 1
            calls.append((asked, call))
        }
        if !actions.claims.isEmpty {
            note("claim \(actions.claims.map { "\($0.job)@\($0.fireTime.rfc3339.dropFirst(14).dropLast())\($0.waits ? " waits" : "")" })")
            add(.claims(actions.claims))
        }
        if !actions.moves.isEmpty {
            note("move \(actions.moves.map { "\($0.job)→\($0.newCursor.rfc3339.dropFirst(14).dropLast())\($0.ranges.map { " \($0.reason)×\($0.count)" })" })")
            add(.moves(actions.moves))
        }
        if !actions.waiting.isEmpty {
            note("ask for \(actions.waiting.sorted { $0.key < $1.key }.map { "\($0.key)×\($0.value)" })")
            add(.waiting(actions.waiting))
        }
    }

    mutating func send(_ event: Dispatcher.Event) { perform(dispatcher.handle(event, now: now)) }

    // MARK: Time
    mutating func pass(_ duration: Duration) {
        now = Now(wall: now.wall + duration, monotonic: now.monotonic + duration)
        latest = max(latest, now.wall)
        beginDue()
    }

    mutating func setClock(by duration: Duration) {
        note("the clock is set by \(duration)")
        now.wall = now.wall + duration
        latest = max(latest, now.wall)
        for job in breakers.keys { breakers[job]!.clockWasSet(now.wall) }
        // The loop hears of it (TFD_TIMER_CANCEL_ON_SET).
        send(.tick)
    }

    /// Time passes; the timer fires whenever it was armed for, the sweep every 5 s.
    mutating func advance(_ duration: Duration) {
        let end = now.monotonic + duration
        var turns = 0
        while now.monotonic < end, violation == nil {
            turns += 1
            if turns > 3_000 {
                let states = configs.keys.sorted().map { "\($0): \(state(of: $0))" }.joined(separator: "; ")
                return faults.append("it spins: \(turns) turns in \(duration), now \(now.wall.rfc3339), woken at \(wakeAt?.rfc3339 ?? "never"); \(states)")
            }
            let nextSweep = lastSweep + .seconds(5)
            var wait = end - now.monotonic
            if let wakeAt { wait = min(wait, max(wakeAt - now.wall, .zero)) }
            if let next = ahead.next { wait = min(wait, max(next - now.monotonic, .zero)) }
            if isPrompt, !room.isEmpty || !comingBack.isEmpty { wait = min(wait, .milliseconds(200)) }
            if sweeps { wait = min(wait, max(nextSweep - now.monotonic, .zero)) }
            pass(max(wait, .microseconds(1)))
            if sweeps, now.monotonic >= nextSweep {
                sweep()
                releaseStrays()
            }
            if let wakeAt, now.wall >= wakeAt { send(.tick) }
            if isPrompt { for run in comingBack.union(room.keys).sorted() { work(run) } }
        }
    }

    mutating func sweep() {
        lastSweep = now.monotonic
        guard !isAway else { return }
        if scenario.isDay {
            let waiting = store.waitingJobs(now.wall)
            if !waiting.isEmpty { send(.wait(jobs: waiting)) }
        } else if store.isWaiting(now.wall) {
            send(.sweep)
        }
    }

    /// As the supervisor looks for claims whose answer was lost.
    mutating func releaseStrays() {
        guard !isAway, scenario.faults.contains(.lostAnswers) else { return }
        let settled = Set(records.map { record in
            switch record {
            case .complete(let completion): completion.run
            case .refuse(let refusal): refusal.claim.run
            case .release(let claim): claim.run
            }
        })
        let unknown = store.claims(of: epoch).filter { dispatcher.owners[$0.run] == nil && !settled.contains($0.run) }
        // Questions are numbered as they are asked; an answer that is on its way is to one of them.
        let found = strays.look(unknown: unknown, lastQuestion: Int64(asked), underWay: (calls.map(\.number) + answers.map(\.number)).map { Int64($0) })
        for claim in found { note("run \(claim.run) was claimed and nobody knows it: it is given back") }
        records += found.map { .release($0) }
        if !found.isEmpty { perform(DispatchActions(wakeAt: wakeAt)) }
    }
}
