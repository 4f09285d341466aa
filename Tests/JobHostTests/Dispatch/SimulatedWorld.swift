import JobConfig
import JobCore
import JobStore

@testable import JobHost

/// A host with a store that answers late or not at all, workers that end in every way, operators,
/// reloads, a clock that is set, and its own death. Everything follows from the scenario.
struct SimulatedWorld: ~Copyable {
    enum Fault: CaseIterable {
        case slowStore, storeAway, badEnds, returns, operators, breakers, reloads, deaths, smallSteps, jumps, enqueues
    }
    struct Scenario {
        var seed: UInt64
        var steps: Int
        var jobs: Int
        var faults: Set<Fault>
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
    var now: Now
    var store = SimulatedStore()
    var dispatcher: Dispatcher
    var configs: [String: JobConfig] = [:]
    var idempotent: [String: Bool] = [:]
    var workers = 2
    var epoch = 1
    var generation: Int64 = 0
    /// Numbers store calls and edits.
    var asked = 0
    var calls: [(number: Int, call: Call)] = []
    var answers: [Answer] = []
    var records: [Record] = []
    var isAway = false
    /// The calm at the end: the store answers at once, runs succeed.
    var isPrompt = false
    var isSettling = false
    var wakeAt: Instant?
    /// The latest that the wall clock has ever shown.
    var latest = Instant.distantPast
    /// With the process room; true: its `started` has been heard.
    var room: [RunID: (request: AttemptRequest, started: Bool)] = [:]
    /// Fences of attempts that began, whether the host heard of it or not: what the workers' slates
    /// have.
    var begun: Set<Int64> = []
    /// Attempts of a run that may have done something.
    var effects: [RunID: Int] = [:]
    var trace: [String] = []
    var faults: [String] = []
    var lastSweep = MonotonicInstant(microseconds: 0)
    var sweeps = true

    init(_ scenario: Scenario) {
        self.scenario = scenario
        random = SeededGenerator(seed: scenario.seed)
        let start = Instant(rfc3339: "2026-03-01T00:00:00Z")! + .milliseconds(Int64(random.next() % 1000))
        now = Now(wall: start, monotonic: MonotonicInstant(microseconds: 1_000_000))
        dispatcher = Dispatcher(settings: Self.settings(random.next()), now: now)
        for number in 0..<scenario.jobs { editJob("job\(number)") }
        begin()
    }

    static func settings(_ seed: UInt64) -> Dispatcher.Settings {
        var settings = Dispatcher.Settings()
        settings.seed = seed
        return settings
    }

    var violation: String? { store.violations.first ?? faults.first }

    // MARK: Chance
    mutating func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }
    mutating func pick<T>(_ choices: [T]) -> T { choices[Int(random.next() % UInt64(choices.count))] }
    mutating func pickJob() -> String? { configs.isEmpty ? nil : pick(configs.keys.sorted()) }

    mutating func editJob(_ name: String) {
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
        idempotent[name] = idempotent[name] ?? chance(50)
    }
    static let crons = (try? CronExpression("*/5 * * * * *")).map { [ScheduleSpec.cron($0, timeZone: "UTC")] } ?? []

    // MARK: Lives and generations
    func nextGeneration() -> Generation {
        var next = SimulatedHost.generation([], idempotent: true, workers: workers, number: generation)
        for (name, config) in configs {
            let made = SimulatedHost.generation([config], idempotent: idempotent[name]!, workers: workers, number: generation)
            next.jobs[name] = made.jobs[name]!
        }
        let library = LibraryCopy(sha256: "h", path: "/nowhere/p.so")
        next.pools = Set(next.jobs.values.map(\.pool)).sorted().map {
            PoolSpec(key: $0, plugin: "p", library: library, maxWorkers: $0 == "p" ? workers : 1)
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
        note("a life begins: \(configs.values.map { describe($0) }.sorted().joined(separator: "; "))")
        let waiting = store.waitingFires(upTo: now.wall + JobSchedule.preclaimReach)
        perform(dispatcher.apply(nextGeneration(), rows: store.states, states: [:], waitingFires: waiting, now: now))
    }

    mutating func rescue() {
        let hasProof = !chance(20)
        for id in store.live.sorted() {
            guard let row = store.rows[id], row.state == .running, row.epoch != epoch else { continue }
            // Where the clock was set back, a fire time ahead of it does not prove that it never came.
            // A worker may have had no slate: then nothing proves what had not begun.
            if row.fireTime > latest || hasProof && !begun.contains(row.fence) {
                store.release(HeldClaim(run: id, job: row.job, fence: row.fence), epoch: row.epoch)
                continue
            }
            let next = RunLifecycle.afterAttempt(
                outcome: .lost, attempt: row.attempt, maxAttempts: row.maxAttempts,
                idempotent: idempotent[row.job] ?? false, policy: configs[row.job]?.retry ?? RetryPolicy(), seed: 1,
                now: now.wall)
            var completion = Completion(run: id, fence: row.fence, outcome: .lost, state: next.state, finishedAt: now.wall)
            completion.availableAt = next.availableAt
            _ = store.complete(completion, now: now.wall)
            if hasProof, !begun.contains(row.fence) { faults.append("run \(id) counts as lost, and had not begun") }
        }
    }

    mutating func die() {
        note("the host dies; \(calls.count) calls, \(answers.count) answers and \(records.count) results are lost")
        // Some were begun by their workers, unheard; and what had begun may have done something.
        for (run, live) in room.sorted(by: { $0.key < $1.key }) where live.started || chance(30) {
            begun.insert(live.request.fence)
            effects[run, default: 0] += 1
        }
        (calls, answers, records, room) = ([], [], [], [:])
        epoch += 1
        // Some time passes before somebody starts it again.
        pass(pick([.milliseconds(200), .seconds(3), .seconds(40)]))
        if chance(30), scenario.faults.contains(.reloads) { editSome() }
        begin()
    }

    mutating func editSome() {
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
        note("reload \(generation): \(configs.values.map { describe($0) }.sorted().joined(separator: "; "))")
        // The shell reads the rows just before.
        perform(dispatcher.apply(nextGeneration(), rows: store.states, states: [:], now: now))
    }

    func describe(_ config: JobConfig) -> String {
        "\(config.name) \(config.schedule!.text) \(config.overlap) ×\(config.concurrency) \(config.catchUp.policy)"
            + (config.enabled ? "" : " off") + (config.isolate ? " isolated" : "")
    }

    // MARK: Performing
    mutating func note(_ text: String) {
        trace.append("\(now.wall.rfc3339.dropFirst(11)) \(text)")
        if trace.count > 60 { trace.removeFirst(20) }
    }

    mutating func perform(_ actions: DispatchActions) {
        wakeAt = actions.wakeAt
        for request in actions.starts { start(request) }
        ask(actions)
        for cancel in actions.cancels { note("cancel \(cancel.run)") }
        for refusal in actions.refusals { records.append(.refuse(refusal)) }
        for (_, completion) in actions.completions { records.append(.complete(completion)) }
        for claim in actions.releases { records.append(.release(claim)) }
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
    }

    mutating func setClock(by duration: Duration) {
        note("the clock is set by \(duration)")
        now.wall = now.wall + duration
        latest = max(latest, now.wall)
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
            if isPrompt, !room.isEmpty { wait = min(wait, .milliseconds(200)) }
            if sweeps { wait = min(wait, max(nextSweep - now.monotonic, .zero)) }
            pass(max(wait, .microseconds(1)))
            if sweeps, now.monotonic >= nextSweep { sweep() }
            if let wakeAt, now.wall >= wakeAt { send(.tick) }
            if isPrompt { for run in room.keys.sorted() { work(run) } }
        }
    }

    mutating func sweep() {
        lastSweep = now.monotonic
        if !isAway, store.isWaiting(now.wall) { send(.sweep) }
    }
}
