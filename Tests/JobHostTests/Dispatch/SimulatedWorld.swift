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
    private enum Call {
        case claims([FireClaim])
        case moves([CursorMove])
        case waiting([String: Int])
        case refresh([String])
    }
    private enum Answer {
        case event(Dispatcher.Event)
        case refresh([String])
    }
    private enum Record {
        case complete(Completion)
        case refuse(Refusal)
        case release(HeldClaim)
        case breaker(String, BreakerRow)
    }

    let scenario: Scenario
    private var random: SeededGenerator
    private(set) var now: Now
    private(set) var store = SimulatedStore()
    private(set) var dispatcher: Dispatcher
    private var configs: [String: JobConfig] = [:]
    private var idempotent: [String: Bool] = [:]
    private var workers = 2
    private var epoch = 1
    private var generation: Int64 = 0
    /// Numbers store calls and edits.
    private var asked = 0
    private var calls: [(number: Int, call: Call)] = []
    private var answers: [Answer] = []
    private var records: [Record] = []
    private var isAway = false
    /// The calm at the end: the store answers at once, runs succeed.
    private var isPrompt = false
    private var isSettling = false
    private var wakeAt: Instant?
    /// The latest that the wall clock has ever shown.
    private var latest = Instant.distantPast
    /// With the process room; true: its `started` has been heard.
    private var room: [RunID: (request: AttemptRequest, started: Bool)] = [:]
    /// Fences of attempts that began, whether the host heard of it or not: what the workers' slates
    /// have.
    private var begun: Set<Int64> = []
    /// Attempts of a run that may have done something.
    private var effects: [RunID: Int] = [:]
    private(set) var trace: [String] = []
    private var faults: [String] = []
    private var lastSweep = MonotonicInstant(microseconds: 0)
    private var sweeps = true

    init(_ scenario: Scenario) {
        self.scenario = scenario
        random = SeededGenerator(seed: scenario.seed)
        let start = Instant(rfc3339: "2026-03-01T00:00:00Z")! + .milliseconds(Int64(random.next() % 1000))
        now = Now(wall: start, monotonic: MonotonicInstant(microseconds: 1_000_000))
        dispatcher = Dispatcher(settings: Self.settings(random.next()), now: now)
        for number in 0..<scenario.jobs { editJob("job\(number)") }
        begin()
    }

    private static func settings(_ seed: UInt64) -> Dispatcher.Settings {
        var settings = Dispatcher.Settings()
        settings.seed = seed
        return settings
    }

    var violation: String? { store.violations.first ?? faults.first }

    // MARK: Chance

    private mutating func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }
    private mutating func pick<T>(_ choices: [T]) -> T { choices[Int(random.next() % UInt64(choices.count))] }
    private mutating func pickJob() -> String? { configs.isEmpty ? nil : pick(configs.keys.sorted()) }

    private mutating func editJob(_ name: String) {
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
    private static let crons = (try? CronExpression("*/5 * * * * *")).map { [ScheduleSpec.cron($0, timeZone: "UTC")] } ?? []

    // MARK: Lives and generations

    private func nextGeneration() -> Generation {
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
    private mutating func begin() {
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

    private mutating func rescue() {
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

    private mutating func die() {
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

    private mutating func editSome() {
        for number in 0..<scenario.jobs where chance(30) {
            let name = "job\(number)"
            if configs[name] != nil, chance(25) { configs[name] = nil } else { editJob(name) }
        }
        workers = pick([1, 2, 4])
    }

    private mutating func reload() {
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

    private func describe(_ config: JobConfig) -> String {
        "\(config.name) \(config.schedule!.text) \(config.overlap) ×\(config.concurrency) \(config.catchUp.policy)"
            + (config.enabled ? "" : " off") + (config.isolate ? " isolated" : "")
    }

    // MARK: Performing

    private mutating func note(_ text: String) {
        trace.append("\(now.wall.rfc3339.dropFirst(11)) \(text)")
        if trace.count > 60 { trace.removeFirst(20) }
    }

    private mutating func perform(_ actions: DispatchActions) {
        wakeAt = actions.wakeAt
        for request in actions.starts { start(request) }
        ask(actions)
        for cancel in actions.cancels { note("cancel \(cancel.run)") }
        for refusal in actions.refusals { records.append(.refuse(refusal)) }
        for (_, completion) in actions.completions { records.append(.complete(completion)) }
        for claim in actions.releases { records.append(.release(claim)) }
        for (job, row) in actions.breakers { records.append(.breaker(job, row)) }
        checkState()
        if !scenario.faults.contains(.slowStore) || isPrompt { settle() }
    }

    private mutating func ask(_ actions: DispatchActions) {
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

    private mutating func send(_ event: Dispatcher.Event) { perform(dispatcher.handle(event, now: now)) }

    // MARK: The store's side

    /// Everything that is asked for is answered at once.
    private mutating func settle() {
        guard !isSettling else { return }
        isSettling = true
        defer { isSettling = false }
        for _ in 0..<10_000 {
            if !answers.isEmpty { deliver() } else if !calls.isEmpty { commit() } else if !records.isEmpty, !isAway { writeRecords() } else { return }
        }
        faults.append("the host and the store keep each other busy: \(calls.first.map { "\($0.call)" } ?? "results")")
    }

    private mutating func commit() {
        guard !calls.isEmpty else { return }
        let (number, call) = calls.removeFirst()
        if isAway { return fail(call) }
        switch call {
        case .claims(let claims):
            let runs = store.claimFires(claims, epoch: epoch, asked: number)
            answers.append(.event(.firesClaimed(claims, runs)))
            let lost = zip(claims, runs).filter { $1 == nil }.map(\.0.job)
            if !lost.isEmpty { answers.append(.refresh(lost)) }
        case .moves(let moves):
            let moved = moves.map { store.move($0, asked: number) }
            answers.append(.event(.cursorsMoved(moves, moved)))
            let lost = zip(moves, moved).filter { !$1 }.map(\.0.job)
            if !lost.isEmpty { answers.append(.refresh(lost)) }
        case .waiting(let limits):
            answers.append(.event(.waitingClaimed(limits: limits, store.claimWaiting(limits, epoch: epoch, now: now.wall))))
        case .refresh(let jobs):
            for job in jobs { answers.append(.event(.refreshed(job: job, store.states[job] ?? JobStateRow()))) }
        }
    }

    private mutating func fail(_ call: Call) {
        switch call {
        case .claims(let claims): answers.append(.event(.accountingFailed(jobs: claims.map(\.job))))
        case .moves(let moves): answers.append(.event(.accountingFailed(jobs: moves.map(\.job))))
        case .waiting(let limits): answers.append(.event(.waitingClaimFailed(jobs: limits.keys.sorted())))
        case .refresh: break
        }
    }

    private mutating func deliver() {
        guard !answers.isEmpty else { return }
        switch answers.removeFirst() {
        case .event(let event): send(event)
        case .refresh(let jobs):
            asked += 1
            calls.append((asked, .refresh(Array(Set(jobs)).sorted())))
        }
    }

    /// As the supervisor writes its batches: completions, refusals, releases, breakers.
    private mutating func writeRecords() {
        guard !isAway, !records.isEmpty else { return }
        let batch = records
        records = []
        var events: [Dispatcher.Event] = []
        for case .complete(let completion) in batch {
            let job = store.rows[completion.run]?.job ?? ""
            guard store.complete(completion, now: now.wall) else { continue }
            if let due = completion.availableAt { events.append(.waiting(job: job, due: due)) }
            for run in completion.enqueues { events.append(.waiting(job: run.job, due: run.fireTime)) }
        }
        for case .refuse(let refusal) in batch { store.refuse(refusal, epoch: epoch) }
        for case .release(let claim) in batch {
            store.release(claim, epoch: epoch)
            events.append(.waiting(job: claim.job, due: now.wall))
        }
        for case .breaker(let job, let row) in batch { store.states[job, default: JobStateRow()].breaker = row }
        for event in events { send(event) }
    }

    // MARK: The workers' side

    private mutating func start(_ request: AttemptRequest) {
        let row = store.rows[request.run]
        func check(_ holds: Bool, _ sentence: String) {
            if !holds { faults.append("run \(request.run) of \(request.job), due \(request.fireTime.rfc3339), was started \(sentence)") }
        }
        check(row?.state == .running && row?.epoch == epoch && row?.fence == request.fence, "without a claim")
        check(room[request.run] == nil, "twice at a time")
        if let row, row.isFire {
            check(
                !room.values.contains { $0.request.job == request.job && $0.request.fireTime == request.fireTime && store.rows[$0.request.run]?.isFire == true },
                "while another run of that due time ran")
        }
        check(effects[request.run, default: 0] == 0 || idempotent[request.job]!, "again, and its entry is not idempotent")
        if let config = configs[request.job] {
            let others = room.values.count { $0.request.job == request.job }
            check(config.overlap == .allow || others < config.concurrency, "beyond its concurrency")
            check(store.states[request.job]?.control.enabled ?? config.enabled, "though disabled")
        } else {
            check(false, "though removed")
        }
        check(!store.hostControl.paused && store.states[request.job]?.control.paused != true, "though paused")
        check(!dispatcher.clock.isHolding, "while the clock is held")
        if let i = dispatcher.index[request.job], let breaker = dispatcher.jobs[i].breaker {
            switch breaker.mode {
            case .open, .forcedOpen: check(false, "though the breaker is open")
            case .halfOpen, .closed, .disabled: break
            }
        }
        note("start run \(request.run) of \(request.job)@\(request.fireTime.rfc3339.dropFirst(14).dropLast()) attempt \(request.attempt)")
        room[request.run] = (request, false)
    }

    private mutating func work(_ run: RunID) {
        guard let (request, started) = room[run] else { return }
        if !started {
            if scenario.faults.contains(.returns), chance(15), !isPrompt {
                room[run] = nil
                note("run \(run) is returned")
                return send(.returned(run: run))
            }
            room[run]!.started = true
            begun.insert(request.fence)
            return send(.started(run: run, at: now.wall, pid: 1, libraryHash: "h"))
        }
        let bad: [Outcome] = [.failed, .retry, .retry, .crashed, .timedOut, .snoozed, .nothingToDo]
        let outcome = scenario.faults.contains(.badEnds) && !isPrompt && chance(50) ? pick(bad) : .succeeded
        room[run] = nil
        if ![.retry, .snoozed].contains(outcome) { effects[run, default: 0] += 1 }
        var end = AttemptEnd(run: run, job: request.job, outcome: outcome, startedAt: now.wall, finishedAt: now.wall)
        if outcome == .snoozed { end.snoozeUntil = now.wall + .seconds(3) }
        if scenario.faults.contains(.enqueues), outcome == .succeeded, chance(10), let job = pickJob() {
            end.enqueues = [EnqueueRequest(job: job, payload: [], key: "", at: nil)]
        }
        note("run \(run) of \(request.job) ends \(outcome.rawValue)")
        send(.ended(end))
    }

    // MARK: What is always so

    private mutating func checkState() {
        var busy: [String: Int] = [:], promised: [String: Int] = [:], askedFor: [String: Int] = [:]
        var owned = 0
        for i in dispatcher.jobs.indices {
            var probes = 0
            let breaker = dispatcher.jobs[i].breaker
            for (run, active) in dispatcher.jobs[i].active {
                owned += 1
                if dispatcher.owners[run] != i { faults.append("run \(run) has another owner") }
                if active.isHeld { promised[active.pool, default: 0] += 1 } else { busy[active.pool, default: 0] += 1 }
                if let breaker, active.permit == .granted(generation: breaker.generation, isProbe: true) { probes += 1 }
            }
            if let claiming = dispatcher.jobs[i].claiming { promised[claiming.pool, default: 0] += claiming.fires }
            if let asked = dispatcher.jobs[i].asked { askedFor[asked.pool, default: 0] += asked.runs }
            guard let breaker, breaker.mode == .halfOpen else { continue }
            if probes > 1 { faults.append("\(dispatcher.jobs[i].name): \(probes) probes at a time") }
            if probes == 0, !breaker.peek(now: now.wall) { faults.append("\(dispatcher.jobs[i].name): the probe's permit is lost") }
        }
        if owned != dispatcher.owners.count { faults.append("an ended run has an owner") }
        for (key, load) in dispatcher.pools {
            let counts = [load.busy, load.promised, load.asked]
            if counts != [busy[key] ?? 0, promised[key] ?? 0, askedFor[key] ?? 0] {
                faults.append("pool \(key) counts \(counts) busy, promised and asked for: wrong")
            }
        }
    }

    // MARK: Time

    private mutating func pass(_ duration: Duration) {
        now = Now(wall: now.wall + duration, monotonic: now.monotonic + duration)
        latest = max(latest, now.wall)
    }

    private mutating func setClock(by duration: Duration) {
        note("the clock is set by \(duration)")
        now.wall = now.wall + duration
        latest = max(latest, now.wall)
        // The loop hears of it (TFD_TIMER_CANCEL_ON_SET).
        send(.tick)
    }

    /// Time passes; the timer fires whenever it was armed for, the sweep every 5 s.
    private mutating func advance(_ duration: Duration) {
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

    private mutating func sweep() {
        lastSweep = now.monotonic
        if !isAway, store.isWaiting(now.wall) { send(.sweep) }
    }

    // MARK: The story

    mutating func run() {
        for _ in 0..<scenario.steps {
            step()
            if violation != nil { return }
        }
        calm()
    }

    private mutating func step() {
        let kinds = scenario.faults
        switch random.next() % 24 {
        case 0..<5: advance(pick([.milliseconds(50), .milliseconds(900), .seconds(2), .seconds(6)]))
        case 5..<8: commit()
        case 8..<11: deliver()
        case 11: writeRecords()
        case 12..<17: if let run = room.keys.sorted().first(where: { _ in chance(60) }) { work(run) }
        case 17 where kinds.contains(.operators): operate()
        case 18 where kinds.contains(.breakers): operateBreaker()
        // Edits that a jump of the clock puts into the future are another story.
        case 19 where kinds.contains(.reloads) && chance(50) && !dispatcher.clock.isHolding: reload()
        case 20 where kinds.contains(.deaths) && chance(30): die()
        case 21 where kinds.contains(.storeAway) && chance(50): isAway.toggle()
        case 22 where kinds.contains(.smallSteps) && chance(40):
            setClock(by: pick([.seconds(-2), .seconds(1), .seconds(-90), .seconds(120), .milliseconds(-300)]))
        case 22 where kinds.contains(.jumps) && chance(25):
            setClock(by: pick([.seconds(3600), .seconds(-3600), .seconds(-365 * 86_400), .seconds(86_400)]))
        case 23 where kinds.contains(.enqueues): enqueue()
        default: advance(.milliseconds(400))
        }
    }

    private mutating func operate() {
        guard let job = pickJob() else { return }
        if chance(20) {
            store.hostControl.paused.toggle()
            note("host paused: \(store.hostControl.paused)")
            return perform(dispatcher.setHostControl(store.hostControl, now: now))
        }
        var control = store.states[job]?.control ?? ControlRow()
        if chance(50) { control.paused.toggle() } else { control.enabled = pick([nil, true, false]) }
        store.states[job, default: JobStateRow()].control = control
        note("\(job): paused \(control.paused), enabled \(control.enabled.map { "\($0)" } ?? "as configured")")
        perform(dispatcher.setControl(job: job, control, now: now))
    }

    private mutating func operateBreaker() {
        guard let job = pickJob() else { return }
        let now = now
        let action = random.next() % 4
        note("\(job): breaker action \(action)")
        let actions = dispatcher.controlBreaker(job: job, now: now) { breaker in
            switch action {
            case 0: breaker.forceOpen(until: now.wall + .seconds(5), reason: "", now: now.wall)
            case 1: breaker.close(reason: "", now: now.wall)
            case 2: breaker.forceOpen(until: nil, reason: "", now: now.wall)
            default: breaker.reset(now: now.wall)
            }
        }
        if let actions { perform(actions) }
    }

    private mutating func enqueue() {
        guard let job = pickJob(), !isAway else { return }
        let due = now.wall + pick([.zero, .seconds(2)])
        for _ in 0..<pick([1, 1, 5, 30]) {
            _ = store.insert(job, .enqueued, due, state: due > now.wall ? .scheduled : .available, maxAttempts: 3)
        }
        send(.waiting(job: job, due: due))
    }

    // MARK: Calm

    /// Nothing goes wrong any more: everything that waits is executed, and schedules go on.
    private mutating func calm() {
        note("calm")
        (isAway, isPrompt) = (false, true)
        settle()
        store.hostControl.paused = false
        perform(dispatcher.setHostControl(store.hostControl, now: now))
        for job in configs.keys.sorted() {
            store.states[job, default: JobStateRow()].control = ControlRow(enabled: true)
            perform(dispatcher.setControl(job: job, ControlRow(enabled: true), now: now))
            let now = now
            if let actions = dispatcher.controlBreaker(job: job, now: now, change: { $0.reset(now: now.wall) }) { perform(actions) }
        }
        // Long enough for a held clock, a cursor that a small step left ahead, and every backlog.
        let ahead = store.states.values.compactMap(\.cursor).max().map { $0 - now.wall } ?? .zero
        if dispatcher.clock.isHolding { advance(ClockWatch.holdFor) }
        if ahead > .zero, ahead <= ClockWatch.tolerance { advance(ahead) }
        // Then as long as a backlog takes, and a while in which nobody looks for what was forgotten.
        for _ in 0..<10 where violation == nil {
            advance(.seconds(20))
            if !store.isWaiting(now.wall - .seconds(5)) { break }
        }
        sweeps = false
        advance(.seconds(15))
        guard violation == nil else { return }
        for id in store.live.sorted() {
            guard let row = store.rows[id], configs[row.job] != nil else { continue }
            // What came due while nobody looked may be known to nobody: an earlier life left it.
            if store.waits(row, now.wall - .seconds(20)) {
                return faults.append("run \(id) of \(row.job) (\(row.trigger.rawValue), \(row.state.rawValue)) still waits, due \(row.availableAt.rfc3339)")
            }
        }
        for (job, config) in configs.sorted(by: { $0.key < $1.key }) { checkProgress(job, config) }
    }

    private func state(of job: String) -> String {
        guard let i = dispatcher.index[job] else { return "unknown" }
        let job = dispatcher.jobs[i]
        return "accounting \(job.isAccounting), stored '\(job.storedText ?? "nothing")', cursor \(job.schedule.cursor.rfc3339), "
            + "next \(job.schedule.nextFire()?.rfc3339 ?? "none"), \(job.submitted) submitted, \(job.held.count) held, "
            + "\(job.waitingFires.count) waiting, asked \(job.asked.map { "\($0)" } ?? "nothing"), removed \(job.isRemoved)"
    }

    private mutating func checkProgress(_ job: String, _ config: JobConfig) {
        guard let cursor = store.states[job]?.cursor else { return faults.append("\(job) has no cursor") }
        let schedule = Schedule(spec: config.schedule!, zone: .utc)
        let due: Instant?
        switch config.schedule! {
        // After its run's end, which may lie ahead of a clock that was set back.
        case .afterFinish, .adaptive:
            let dispatched = dispatcher.index[job].map { dispatcher.jobs[$0] }
            due = dispatched?.schedule.nextFire() ?? (dispatched?.active.isEmpty == true ? .distantPast : nil)
        // An edit that lies ahead of a clock that was set back is waited for.
        default: due = schedule.next(after: max(cursor, store.eras[job]?.last?.after ?? cursor))
        }
        if let due, due < now.wall - .seconds(3) {
            faults.append("\(job) (\(config.schedule!.text)) does not go on: \(due.rfc3339) is due, the next wake-up is \(wakeAt?.rfc3339 ?? "never"), \(state(of: job))")
        }
        // A job that was set right is settled in the store too.
        guard store.eras[job]?.last.map({ $0.after < now.wall }) == true else { return }
        if store.states[job]?.scheduleText != config.schedule!.text { faults.append("\(job): the store still has the rule '\(store.states[job]!.scheduleText)'") }
    }
}
