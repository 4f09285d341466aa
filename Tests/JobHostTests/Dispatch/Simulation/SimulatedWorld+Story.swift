import JobConfig
import JobCore
import JobStore

@testable import JobHost

/// What happens to the host, by chance, and the calm at the end.
extension SimulatedWorld {
    // MARK: Chance events
    mutating func run() {
        if scenario.isDay { return runDay() }
        for _ in 0..<scenario.steps {
            step()
            if violation != nil { return }
        }
        calm()
    }

    mutating func step() {
        let kinds = scenario.faults
        switch random.next() % 24 {
        case 0..<5: advance(pick([.milliseconds(50), .milliseconds(900), .seconds(2), .seconds(6)]))
        case 5..<8: commit()
        case 8..<11: deliver()
        case 11: writeRecords()
        case 12..<17: if let run = comingBack.union(room.keys).sorted().first(where: { _ in chance(60) }) { work(run) }
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

    mutating func operate() {
        guard let job = pickJob() else { return }
        if chance(20) {
            store.hostControl.paused.toggle()
            let isPaused = store.hostControl.paused
            note("host paused: \(isPaused)")
            return perform(dispatcher.setHostControl(store.hostControl, now: now))
        }
        var control = store.states[job]?.control ?? ControlRow()
        if chance(50) { control.paused.toggle() } else { control.enabled = pick([nil, true, false]) }
        store.states[job, default: JobStateRow()].control = control
        note("\(job): paused \(control.paused), enabled \(control.enabled.map { "\($0)" } ?? "as configured")")
        perform(dispatcher.setControl(job: job, control, now: now))
    }

    mutating func operateBreaker() {
        guard let job = pickJob() else { return }
        let now = now
        let action = random.next() % 4
        note("\(job): breaker action \(action)")
        setBreaker(job) { breaker in
            switch action {
            case 0: breaker.forceOpen(until: now.wall + .seconds(5), reason: "", now: now.wall)
            case 1: breaker.close(reason: "", now: now.wall)
            case 2: breaker.forceOpen(until: nil, reason: "", now: now.wall)
            default: breaker.reset(now: now.wall)
            }
        }
    }

    /// Durable first.
    private mutating func setBreaker(_ job: String, _ change: (inout Breaker) -> Void) {
        guard !isAway, let i = dispatcher.index[job], var breaker = dispatcher.jobs[i].breaker else { return }
        change(&breaker)
        let stored = store.states[job]?.breaker?.generation ?? BreakerRow.first
        let row = BreakerRow(breaker.encoded, generation: stored + 1)
        store.states[job, default: JobStateRow()].breaker = row
        if case .forcedOpen(let until) = breaker.mode { breakers[job]?.decide(.forced(until: until)) } else { breakers[job]?.decide(.counting([])) }
        (storedBreakers[job], believedBreakers[job]) = (breakers[job], breakers[job])
        perform(dispatcher.setBreaker(job: job, row, now: now))
    }

    mutating func enqueue() {
        guard let job = pickJob(), !isAway else { return }
        let due = now.wall + pick([.zero, .seconds(2)])
        for _ in 0..<pick([1, 1, 5, 30]) {
            _ = store.insert(job, .enqueued, due, state: due > now.wall ? .scheduled : .available, maxAttempts: 3)
        }
        send(.waiting(job: job, due: due))
    }

    // MARK: Calm
    /// Nothing goes wrong any more: everything that waits is executed, and schedules go on.
    mutating func calm() {
        calmDown()
        settle()
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
        checkEnd()
    }

    mutating func calmDown() {
        note("calm")
        (isAway, isPrompt) = (false, true)
        settle()
        store.hostControl.paused = false
        perform(dispatcher.setHostControl(store.hostControl, now: now))
        for job in configs.keys.sorted() {
            store.states[job, default: JobStateRow()].control = ControlRow(enabled: true)
            perform(dispatcher.setControl(job: job, ControlRow(enabled: true), now: now))
            let now = now
            setBreaker(job) { $0.reset(now: now.wall) }
        }
    }

    mutating func checkEnd() {
        guard violation == nil else { return }
        for id in store.live {
            guard let row = store.rows[id], configs[row.job] != nil else { continue }
            // What came due while nobody looked may be known to nobody: an earlier life left it.
            if store.waits(row, now.wall - .seconds(20)) {
                return faults.append("run \(id) of \(row.job) (\(row.trigger.rawValue), \(row.state.rawValue)) still waits, due \(row.availableAt.rfc3339)")
            }
            if row.state == .running, dispatcher.owners[id] == nil {
                return faults.append("run \(id) of \(row.job) is claimed, and nobody has it")
            }
        }
        for (job, config) in configs.sorted(by: { $0.key < $1.key }) { checkProgress(job, config) }
        checkEntries()
    }
}
