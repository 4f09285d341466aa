import JobConfig
import JobCore
import JobStore

// What takes two persons: `approval = 2`.

extension Supervisor {
    /// Keeps what was asked for and throws `needsApproval` where the job takes two persons.
    func demandSecondPerson(_ asked: AskedCommand, by actor: Actor) async throws {
        guard let job = try await job(of: asked), dispatcher.jobs[try find(job)].plan.config.approval == 2 else { return }
        let now = clock.now().wall
        var ask = Ask(job: job, action: asked.sentence, command: asked.text, by: actor.person, reason: actor.reason, at: now)
        let waiting = try await withStore { try await $0.asks(limit: Self.mostAsks) }.filter { $0.state(now: now) == .waiting }
        if let same = waiting.first(where: { $0.job == job && $0.command == ask.command && $0.askedBy == ask.askedBy }) {
            throw needsApproval(same, "waits for a second person already")
        }
        guard waiting.count < Self.mostAsks else {
            throw CommandError(.conflict, "\(waiting.count) requests wait for a second person: no more are accepted", hint: "jobhost ask list")
        }
        let new = ask
        ask = try await acting(AuditRow(of: new, by: actor)) {
            var kept = new
            kept.id = try await withStore { try await $0.add(new, by: actor) }
            return (kept, AuditRow(of: kept, by: actor))
        }
        asks.append(ask)
        log.notice("\(job): \(ask.action) waits for a second person, asked for by \(actor.name) as request \(ask.id)")
        throw needsApproval(ask, "waits for a second person")
    }

    /// Opening a breaker is one person's, at any hour. Opening it for a shorter time than it is held open already would
    /// be one person's way around the second one that closing takes.
    func refuseShorterHold(_ command: HostCommand) throws {
        guard case .breaker(let job, .open(let until?)) = command else { return }
        let dispatched = dispatcher.jobs[try find(job)]
        guard dispatched.plan.config.approval == 2, case .forcedOpen(let held) = dispatched.breaker?.mode,
            held.map({ until < $0 }) ?? true
        else { return }
        let end = held.map { "until \(TimeText.absolute($0))" } ?? "without an end"
        throw CommandError(
            .conflict, "the breaker of \(job) is held open \(end): ending that sooner takes two persons",
            hint: "jobhost breaker \(job) close, which another person approves")
    }

    private func needsApproval(_ ask: Ask, _ words: String) -> CommandError {
        CommandError(
            .needsApproval, "\(ask.job) takes two persons: \(ask.action) \(words), until \(TimeText.absolute(ask.expiresAt))",
            hint: "another person approves it on the page, or as another user: jobhost ask approve \(ask.id)")
    }

    /// nil: there is none, which the command itself says better.
    private func job(of asked: AskedCommand) async throws -> String? {
        if let job = asked.job { return job }
        guard let run = asked.run else { return nil }
        return try await withStore { try await $0.run(RunID(run)) }?.job
    }

    /// Approved, it is done at once; at most once, whatever happens in between.
    func answer(_ id: Int64, _ answer: Ask.Answer, by actor: Actor) async throws -> CommandResult {
        guard let ask = try await withStore({ try await $0.ask(id) }) else {
            throw CommandError(.notFound, "there is no request \(id)", hint: "jobhost ask list")
        }
        let answered = try answered(ask, answer, by: actor)
        guard answer == .refuse || AskedCommand(text: ask.command)?.command != nil else {
            throw CommandError(.conflict, "this host cannot do what request \(id) is about: a newer one kept it", hint: "ask for it again")
        }
        let row = AuditRow(of: answered, by: actor)
        let isFirst = try await acting(row) {
            let isFirst = try await withStore { try await $0.decide(answered, by: actor) }
            return (isFirst, isFirst ? row : nil)
        }
        guard isFirst else {
            throw CommandError(.conflict, "request \(id) has just been decided by somebody else", hint: "jobhost ask list")
        }
        asks.removeAll { $0.id == id }
        log.notice("\(ask.job): request \(id) of \(ask.askedBy) (\(ask.action)) is \(answered.state(now: clock.now().wall).rawValue) by \(actor.name)")
        guard answer == .approve, let command = AskedCommand(text: ask.command)?.command else { return .answered(answered, run: nil) }
        let both = Actor(name: "\(ask.askedBy), approved by \(actor.person)", via: actor.via, reason: ask.reason)
        guard case .run(let run, _) = try await carryOut(command, by: both) else { return .answered(answered, run: nil) }
        return .answered(answered, run: run)
    }

    private func answered(_ ask: Ask, _ answer: Ask.Answer, by actor: Actor) throws -> Ask {
        do {
            return try ask.answered(answer, by: actor.person, at: clock.now().wall)
        } catch .isOwn {
            throw CommandError(
                .conflict, "you are \(actor.person), who asked for it: it takes another person",
                hint: "to take it back: jobhost ask refuse \(ask.id)")
        } catch .hasEnded(let state) {
            let by = ask.decidedBy.isEmpty ? "" : " by \(ask.decidedBy)"
            throw CommandError(.conflict, "request \(ask.id) is \(state.rawValue)\(by)", hint: "what still waits: jobhost ask list")
        }
    }
}
