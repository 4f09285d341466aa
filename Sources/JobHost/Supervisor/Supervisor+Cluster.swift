import JobConfig
import JobCore
import JobStore
import NearestName

// Beside other hosts on one store: the lease, what operators said elsewhere. (The runs of hosts that died: Supervisor+Rescue.swift.)

/// Why the host claims nothing although it lives.
enum Hold: Hashable, Comparable {
    case lease, format, clock, drained
}

extension Supervisor {
    /// How often what operators and other hosts have decided is read: well within the 3 s in which a
    /// decision holds on every host.
    static var lookAround: Duration { .seconds(1) }

    func startSharing() {
        guard store.isShared else { return }
        repeats(every: lease.period) { $0.renewLeases() }
        repeats(every: Self.lookAround) { $0.readSharedState() }
        repeats(every: max(lease.period, .seconds(1))) { supervisor in
            supervisor.rescueAbandoned()
            supervisor.releaseStrays()
        }
        repeats(every: .seconds(10)) { $0.compareDefinitions() }
        repeats(every: Self.progressPace) { $0.tellProgress() }
    }

    // MARK: How far runs are

    /// How often other hosts are told at the most.
    static var progressPace: Duration { .seconds(2) }
    /// Of so many runs, with so long a text each.
    static var progressBound: (runs: Int, text: Int) { (500, 200) }
    /// A run that says nothing of its progress is told of when it has run for so long.
    static var progressSilence: Duration { .seconds(10) }

    /// One statement for all of them, and none where nothing has moved since the last.
    func tellProgress() {
        let now = clock.now()
        let rows = progress(now: now.wall)
        guard progressTold.lacks(rows, now: now.monotonic), holds.isDisjoint(with: [.lease, .format]) else { return }
        inquire(.progress) { supervisor in
            try await supervisor.store.saveProgress(rows, owner: supervisor.owner)
            supervisor.progressTold = ToldProgress(rows: rows, at: now.monotonic)
        }
    }

    private func progress(now: Instant) -> [RunProgress] {
        let active = dispatcher.jobs.lazy.flatMap(\.active.values)
        let rows = active.compactMap { run -> RunProgress? in
            guard case .running(let since, let pid) = run.phase else { return nil }
            guard run.total > 0 || !run.text.isEmpty || now - since >= Self.progressSilence else { return nil }
            return RunProgress(
                run: run.claim.id, fence: run.claim.fence, startedAt: since, pid: pid, done: run.done, total: run.total,
                text: String(run.text.prefix(Self.progressBound.text)))
        }
        return Array(rows.sorted { $0.run < $1.run }.prefix(Self.progressBound.runs))
    }

    // MARK: What each host serves

    /// Others see where they differ, and leave alone what only this one knows.
    func saveDefinitions() async {
        guard store.isShared else { return }
        let rows = definitions(of: generation)
        do {
            try await store.saveDefinitions(rows, labels: generation.config.host.labels, host: owner.host)
            compareDefinitions()
        } catch { storeFailed(error) }
    }

    private func definitions(of generation: Generation) -> [DefinitionRow] {
        let workers = generation.plugins.mapValues { $0.config.bounds(in: generation.config.file) }
        return generation.jobs.values.filter { $0.config.isServed(by: generation.config.host) }.map { job in
            DefinitionRow(
                host: owner.host, job: job.config.name, digest: job.digest(workers[job.config.plugin] ?? ""), library: job.libraryHash)
        }
    }

    /// Where this host would differ from the others if it served `next`, in sentences.
    func differences(after next: Generation) async -> [String] {
        guard store.isShared else { return [] }
        do {
            let others = try await store.definitions().filter { $0.host != owner.host }
            let rows = others + definitions(of: next)
            return Definitions.differences(rows) + Definitions.unserved(next.jobs.values.map(\.config), rows)
        } catch {
            storeFailed(error)
            return ["what other hosts run is not known: the store does not answer"]
        }
    }

    func compareDefinitions() {
        inquire(.definitions) { supervisor in
            let rows = try await supervisor.store.definitions()
            let found = Definitions.differences(rows) + Definitions.unserved(supervisor.generation.jobs.values.map(\.config), rows)
            for sentence in found where !supervisor.differences.contains(sentence) { supervisor.log.warning("\(sentence)") }
            supervisor.differences = found
        }
    }

    // MARK: The lease

    func renewLeases() {
        inquire(.lease) { await $0.renewLeaseNow() }
    }

    func renewLeaseNow() async {
        let asked = clock.now()
        let length = store.isShared ? lease.length : dispatcher.settings.lease
        do {
            let standing = try await store.renewLeases(owner: owner, for: length, now: asked.wall)
            leasesRenewedAt = clock.now().monotonic
            leaseProblem = nil
            storeAnswered(asked.monotonic)
            if store.isShared { leaseRenewed(asked: asked.monotonic, standing) }
        } catch {
            if let error = error as? StoreError, error.kind == .held { leaseProblem = error.message }
            storeFailed(error)
        }
    }

    func leaseRenewed(asked: MonotonicInstant, _ standing: Standing) {
        lookAtLease()
        if lease.renewed(asked: asked, now: clock.now().monotonic), holds.contains(.lease) {
            log.notice("this host has its lease on the store again")
        }
        if let end = lease.end {
            room.holdLease(until: end)
            watchLease(end)
            hold(.lease, false)
        }
        formatProblem = standing.formatProblem
        hold(.format, standing.formatProblem != nil)
        clockProblem = standing.skewProblem
        hold(.clock, standing.skewProblem != nil)
    }

    private func watchLease(_ end: MonotonicInstant) {
        if let leaseTimer { loop.cancel(leaseTimer) }
        leaseTimer = loop.timer(at: end) { [weak self] in self?.assumeIsolated { $0.lookAtLease() } }
    }

    /// Before anything else of a turn: this process may have stood still for long.
    func lookAtLease() {
        guard store.isShared, lease.hasLapsed(now: clock.now().monotonic) else { return }
        let running = dispatcher.jobs.reduce(0) { $0 + $1.active.values.count { !$0.isHeld } }
        log.critical(
            "this host's lease on the store has lapsed: it could not renew it for \(durationText(lease.length)). \(running == 0 ? "Nothing runs" : "\(counted(running, "run")) under way \(running == 1 ? "is" : "are") killed"), and nothing starts until it has it again")
        hold(.lease, true)
        room.leaseLapsed()
        renewLeases()
    }

    // MARK: Holds

    func hold(_ reason: Hold, _ isOn: Bool) {
        guard isOn != holds.contains(reason) else { return }
        if isOn { holds.insert(reason) } else { holds.remove(reason) }
        switch reason {
        case .lease: break
        case .format:
            if let formatProblem {
                log.critical("\(formatProblem). What runs here goes on and is recorded, and nothing new starts")
            } else {
                log.notice("the store has a format again that this program knows")
            }
        case .clock:
            if let clockProblem { log.critical("\(clockProblem)") } else { log.notice("this machine's clock agrees with the database's again") }
        case .drained:
            log.notice("\(isOn ? "taken out: nothing new starts here" : "serves again")\(isOn && !drainReason.isEmpty ? " (\(drainReason))" : "")")
        }
        perform(holds.isEmpty ? dispatcher.resume(now: clock.now()) : dispatcher.suspend(now: clock.now()))
    }

    /// Why nothing starts, the gravest first; nil: it does.
    var holdSentence: String? {
        switch holds.min() {
        case .lease: leaseProblem ?? "its lease on the store has lapsed"
        case .format: formatProblem ?? "the store has a format that this program does not know"
        case .clock: clockProblem ?? "its clock is wrong"
        case .drained: "the host was taken out by an operator" + (drainReason.isEmpty ? "" : ": \(drainReason)")
        case nil: nil
        }
    }

    // MARK: What others decided

    func readSharedState() {
        let before = ownDecisions
        inquire(.shared) { supervisor in
            supervisor.breakersWritten = []
            let state = try await supervisor.store.sharedState(owner: supervisor.owner)
            // An operator has decided something here meanwhile: the next look has it.
            if before == supervisor.ownDecisions { supervisor.adopt(state) }
        }
    }

    private func adopt(_ state: SharedState) {
        drainReason = state.drainReason
        hold(.drained, state.isDrained)
        if state.hostControl != dispatcher.hostControl {
            log.notice("all hosts are \(state.hostControl.paused ? "paused" : "resumed") by an operator elsewhere")
            perform(dispatcher.setHostControl(state.hostControl, now: clock.now()))
        }
        dispatcher.controlsElsewhere = state.controls
        let unsettled = breakersWritten.union(unrecorded.compactMap(\.operation.breakersJob))
        for job in dispatcher.jobs where !job.isRemoved {
            let control = state.controls[job.name] ?? ControlRow()
            if control != job.control { perform(dispatcher.setControl(job: job.name, control, now: clock.now())) }
            if let row = state.breakers[job.name] {
                perform(dispatcher.adoptBreaker(job: job.name, row, isSettled: !unsettled.contains(job.name), now: clock.now()))
            }
        }
        for (run, reason) in state.cancels where dispatcher.owners[run] != nil && cancellations[run] == nil {
            cancellations[run] = reason
            perform(dispatcher.cancel(run, reason: reason, now: clock.now()))
        }
    }

    // MARK: Claims that nobody knows of

    /// See `StrayClaims`. Where one host has the store alone it looks after an answer has been lost, and until nothing is found.
    func releaseStrays() {
        guard store.isShared || mayHaveStrays else { return }
        inquire(.strays) { try await $0.releaseStraysNow() }
    }

    private func releaseStraysNow() async throws {
        mayHaveStrays = false
        let held: [HeldClaim]
        do { held = try await store.claims(of: owner) } catch {
            mayHaveStrays = true
            throw error
        }
        let recording = Set(unrecorded.compactMap(\.operation.run))
        let unknown = held.filter { dispatcher.owners[$0.run] == nil && !recording.contains($0.run) }
        let found = strays.look(unknown: unknown, lastQuestion: lastClaim, underWay: claimsUnderWay.keys)
        if strays.hasCandidates || !claimsUnderWay.isEmpty { mayHaveStrays = true }
        guard !found.isEmpty else { return }
        log.warning("\(counted(found.count, "claim")) whose answer was lost on the way here \(found.count == 1 ? "is" : "are") given back")
        record(found.map { .release($0) })
    }

    /// Around a question that may claim something. nil: it was given up meanwhile, and its answer comes too late.
    func claiming<Value: Sendable>(_ ask: () async throws -> Value) async throws -> Value? {
        lastClaim += 1
        let number = lastClaim
        claimsUnderWay[number] = clock.now().monotonic
        do {
            let answer = try await ask()
            return claimsUnderWay.removeValue(forKey: number) == nil ? nil : answer
        } catch {
            mayHaveStrays = true
            if claimsUnderWay.removeValue(forKey: number) == nil { return nil }
            throw error
        }
    }

    /// What stands still is asked anew; what came of the old question, if anything, is given back.
    func giveUpClaims(askedBefore limit: MonotonicInstant) {
        claimsUnderWay = claimsUnderWay.filter { $0.value > limit }
        mayHaveStrays = true
    }

    /// An operator takes a host out, or lets it serve again; it hears of it within three seconds.
    func drain(_ host: String, _ isDrained: Bool, by actor: Actor) async throws -> CommandResult {
        guard store.isShared else {
            throw CommandError(
                .conflict, "\(owner.host) serves this store alone",
                hint: isDrained ? "so that nothing new starts: jobhost pause" : "to go on after a pause: jobhost resume")
        }
        let now = clock.now().wall
        let row = AuditRow(at: now, actor: actor, action: isDrained ? "drain host" : "undo drain host", job: nil, detail: host)
        let isThere = try await acting(row) {
            let isThere = try await withStore { try await $0.setDrained(host: host, isDrained, by: actor, now: now) }
            return (isThere, isThere ? row : nil)
        }
        guard isThere else {
            let names = try await withStore { try await $0.hosts().map(\.name) }
            let nearest = nearestName(host, among: names).map { "did you mean '\($0)'?" }
            throw CommandError(.notFound, "no host '\(host)' serves this store", hint: nearest ?? "there are: \(names.joined(separator: ", "))")
        }
        log.notice("\(host) is \(isDrained ? "taken out" : "to serve again"), by \(actor.name)\(actor.reason.isEmpty ? "" : ": \(actor.reason)")")
        return .done
    }
}
