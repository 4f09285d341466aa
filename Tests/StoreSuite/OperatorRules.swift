import JobCore
import JobStore

// What operators do with runs and jobs.

extension StoreSuite {
    static let operatorRules = [
        Rule("a waiting run can be cancelled, a running or ended one cannot", { try await $0.cancelOnlyWhatWaits() }),
        Rule("a retry is a new run with the payload and key of the old one", { try await $0.retryInheritsKeyAndPayload() }),
        Rule("a retried dead letter is none any longer, and not retried twice at once", { try await $0.retriedDeadLetter() }),
        Rule("only a run that has ended can be retried", { try await $0.retryOfALiveRun() }),
        Rule("a discarded dead letter keeps its reason", { try await $0.discardedDeadLetter() }),
        Rule("controls of jobs and of the host are kept and audited", { try await $0.controlsAreKept() }),
        Rule("what takes two persons is kept, and decided once", { try await $0.asksAreDecidedOnce() }),
        Rule("what is enqueued by hand is audited as whoever enqueues it says", { try await $0.enqueueIsAudited() }),
        Rule("the audit is newest first, in pages, and can be asked per job and since when", { try await $0.auditOrder() }),
        Rule("the audit of a run is of that run", { try await $0.auditOfARun() }),
    ]

    func cancelOnlyWhatWaits() async throws {
        let run = try await enqueued(Self.request(at: 50))
        try demand(
            try await store.cancelWaiting(run.id, reason: "wrong asset", by: Self.operations, now: Self.at(1)), "not cancelled")
        let row = try await record(run.id)
        try equal(row.state, .cancelled)
        try equal(row.reason, "wrong asset")
        try equal(row.finishedAt, Self.at(1))
        try equal(try await store.nextWaiting(), nil)
        try demand(
            try await !store.cancelWaiting(run.id, reason: "again", by: Self.operations, now: Self.at(2)), "cancelled twice")
        let running = try await claimed(Self.claim(fire: 1, from: nil))
        try demand(
            try await !store.cancelWaiting(running.id, reason: "", by: Self.operations, now: Self.at(2)), "cancelled a running run")
        try await refused(.notFound) {
            _ = try await store.cancelWaiting(RunID(999), reason: "", by: Self.operations, now: Self.at(2))
        }
        try equal(try await store.audit(AuditFilter(job: "mint", limit: 10)).map(\.actor), [Self.operations])
    }

    func asksAreDecidedOnce() async throws {
        var ask = Ask(job: "mint", action: "trigger", command: #"{"action":"trigger"}"#, by: "alice", reason: "month's end", at: Self.at(1))
        ask.id = try await store.add(ask, by: Self.operations)
        let other = try await store.add(Ask(job: "mint", action: "resume", command: "{}", by: "bob", reason: "", at: Self.at(2)), by: Self.operations)
        try equal(try await store.ask(ask.id), ask)
        try equal(try await store.asks(limit: 10).map(\.id), [other, ask.id])
        try equal(try await store.asks(limit: 1).map(\.id), [other])
        try equal(try await store.asks(before: other, limit: 10).map(\.id), [ask.id])
        try equal(try await store.asks(before: ask.id, limit: 10), [])
        try equal(try await store.ask(other + 1), nil)
        let approved = try ask.answered(.approve, by: "bob", at: Self.at(3))
        let refused = try ask.answered(.refuse, by: "carol", at: Self.at(3))
        try demand(try await store.decide(approved, by: Self.operations), "not decided")
        try demand(try await !store.decide(refused, by: Self.operations), "decided twice")
        try equal(try await store.ask(ask.id), approved)
        try demand(try await !store.decide(ask, by: Self.operations), "an ask without an answer is a decision")
        let audit = try await store.audit(AuditFilter(limit: 10))
        try equal(audit.map(\.action), ["approve", "ask", "ask"])
        try equal(audit.map(\.detail), [
            "request \(ask.id) of alice: trigger", "request \(other): resume", "request \(ask.id): trigger",
        ])
    }

    func enqueueIsAudited() async throws {
        let requests = [Self.request(at: 50, key: "asset-7")]
        func enqueue(_ action: String) async throws -> [(run: RunRecord, inserted: Bool)] {
            try await store.enqueue(requests, now: Self.at(1)) { results in
                results.first.flatMap { result in
                    result.inserted
                        ? AuditRow(at: Self.at(1), actor: Self.operations, action: action, job: "mint", detail: "run \(result.run.id)") : nil
                }
            }
        }
        let first = try required(try await enqueue("enqueue").first, "not enqueued")
        let second = try required(try await enqueue("again").first, "no answer")
        try demand(first.inserted && !second.inserted && second.run.id == first.run.id, "enqueued twice")
        let audit = try await store.audit(AuditFilter(job: "mint", limit: 10))
        try equal(audit.map(\.action), ["enqueue"])
        try equal(audit.map(\.detail), ["run \(first.run.id)"])
    }

    /// A dead letter of "mint" with the unique key "asset-7".
    private func deadLetter() async throws -> RunRecord {
        let request = try await enqueued(Self.request(key: "asset-7", priority: 4))
        let run = try required(try await waiting(now: 0).first, "not due")
        var end = Self.end(run, .failed, .discarded, at: 2)
        end.reason = "no such asset"
        _ = try await store.complete([end], now: Self.at(2))
        return try await record(request.id)
    }

    func retryInheritsKeyAndPayload() async throws {
        let dead = try await deadLetter()
        let retry = try await store.retry(dead.id, by: Self.operations, now: Self.at(100))
        try demand(retry.id != dead.id, "the same run")
        try equal(retry.trigger, .retryOf)
        try equal(retry.retryOf, dead.id)
        try equal(retry.state, .available)
        try equal(retry.payload, dead.payload)
        try equal(retry.idempotencyKey, "asset-7")
        try equal(retry.fireTime, dead.fireTime)
        try equal(retry.priority, 4)
        try equal(try await waiting(now: 100).map(\.id), [retry.id])
    }

    func retriedDeadLetter() async throws {
        let dead = try await deadLetter()
        let retry = try await store.retry(dead.id, by: Self.operations, now: Self.at(100))
        let old = try await record(dead.id)
        try equal(old.state, .cancelled)
        try equal(old.reason, "no such asset")
        try equal(try await store.queueDepths(now: Self.at(100))["mint"]?.dead, 0)
        try await refused(.notFound) { _ = try await store.retry(dead.id, by: Self.operations, now: Self.at(101)) }
        let run = try required(try await waiting(now: 100).first, "not due")
        _ = try await store.complete([Self.end(run, .failed, .discarded, at: 102)], now: Self.at(102))
        try equal(try await store.queueDepths(now: Self.at(100))["mint"]?.dead, 1)
        try demand(try await store.retry(retry.id, by: Self.operations, now: Self.at(103)).retryOf == retry.id, "not retried")
    }

    func retryOfALiveRun() async throws {
        let live = try await enqueued(Self.request())
        try await refused(.notFound) { _ = try await store.retry(live.id, by: Self.operations, now: Self.at(1)) }
        try await refused(.notFound) { _ = try await store.retry(RunID(999), by: Self.operations, now: Self.at(1)) }
        try equal(try await store.runs(RunFilter()).count, 1)
    }

    func discardedDeadLetter() async throws {
        let dead = try await deadLetter()
        try demand(try await store.discardDead(dead.id, by: Self.operations, now: Self.at(9)), "not discarded")
        try demand(try await !store.discardDead(dead.id, by: Self.operations, now: Self.at(9)), "discarded twice")
        let row = try await record(dead.id)
        try equal(row.state, .cancelled)
        try equal(row.outcome, .failed)
        try equal(row.reason, "no such asset")
        try equal(try await store.audit(AuditFilter(job: "mint", limit: 1)).map(\.action), ["discard"])
    }

    func controlsAreKept() async throws {
        func act(_ change: ControlChange, _ action: String, _ reason: String, at second: Int64) async throws -> ControlRow {
            let actor = Actor(name: Self.operations.name, via: "cli", reason: reason)
            return try await store.saveControl(job: "mint", change, by: actor, action: action, now: Self.at(second))
        }
        // Whoever pauses knows nothing of who disables: neither undoes the other.
        _ = try await act(.paused(true), "pause", "exchange is down", at: 4)
        let both = ControlRow(
            enabled: false, reason: "mint is broken", since: Self.at(5), paused: true, pauseReason: "exchange is down",
            pausedSince: Self.at(4))
        try equal(try await act(.enabled(false), "disable", "mint is broken", at: 5), both)
        try equal(try await store.jobStates()["mint"]?.control, both)
        // Said again without a reason: the first one stands.
        try equal(try await act(.paused(true), "pause", "", at: 6), both)
        var again = both
        (again.pauseReason, again.pausedSince) = ("still down", Self.at(7))
        try equal(try await act(.paused(true), "pause", "still down", at: 7), again)
        (again.paused, again.pauseReason, again.pausedSince) = (false, "", nil)
        try equal(try await act(.paused(false), "resume", "it is up", at: 8), again)
        (again.enabled, again.reason, again.since) = (nil, "", Self.at(9))
        try equal(try await act(.enabled(nil), "enable as configured", "", at: 9), again)
        try equal(try await store.hostControl(), ControlRow())
        let host = ControlRow(paused: true, pauseReason: "maintenance", pausedSince: Self.at(10))
        try equal(try await store.saveHostControl(.paused(true), by: Self.operations, action: "pause", now: Self.at(10)), host)
        try equal(try await store.hostControl(), host)
        try equal(Set(try await store.jobStates().keys), ["mint"])
        let audit = try await store.audit(AuditFilter(limit: 3))
        try equal(audit.map(\.action), ["pause", "enable as configured", "resume"])
        try equal(audit.map(\.job), [nil, "mint", "mint"])
        try equal(audit.map(\.actor.reason), ["maintenance", "", "it is up"])
    }

    func auditOrder() async throws {
        for index in 0..<5 as Range<Int64> {
            try await store.writeAudit(AuditRow(
                at: Self.at(index), actor: .system, action: "step-\(index)", job: index % 2 == 0 ? "even" : nil, detail: "d"))
        }
        try equal(try await store.audit(AuditFilter(limit: 2)).map(\.action), ["step-4", "step-3"])
        try equal(try await store.audit(AuditFilter(job: "even", limit: 2)).map(\.at), [Self.at(4), Self.at(2)])
        var next = AuditFilter(job: "even", limit: 2)
        next.before = try await store.audit(next).last?.id
        try equal(try await store.audit(next).map(\.at), [Self.at(0)])
        var late = AuditFilter(limit: 2)
        late.from = Self.at(4)
        try equal(try await store.audit(late).map(\.action), ["step-4"])
    }

    /// An entry is of the run that it names first: neither of one that merely begins so, nor of one that came of it.
    func auditOfARun() async throws {
        for detail in ["run 4", "run 41", "run 4 as run 41", "run 41 as run 4", "cursor"] {
            try await store.writeAudit(AuditRow(at: Self.at(0), actor: .system, action: "step", job: "mint", detail: detail))
        }
        var filter = AuditFilter(job: "mint")
        filter.run = RunID(41)
        try equal(try await store.audit(filter).map(\.detail), ["run 41 as run 4", "run 41"])
    }
}
