import JobCore
import JobStore

/// What must reach the store whatever happens, in order; kept while the store is away.
enum RecordOperation {
    case complete(job: String, Completion)
    case refuse(Refusal)
    case release(HeldClaim)
    case breaker(job: String, BreakerRow)
    case audit(AuditRow)

    /// The run that it settles.
    var run: RunID? {
        switch self {
        case .complete(_, let completion): completion.run
        case .refuse(let refusal): refusal.claim.run
        case .release(let claim): claim.run
        case .breaker, .audit: nil
        }
    }

    var isResult: Bool {
        if case .complete = self { true } else { false }
    }
}

extension Supervisor {
    static var recordBackoff: Duration { .milliseconds(250) }

    func record(_ operations: [RecordOperation]) {
        guard !operations.isEmpty else { return }
        pendingRecords += operations
        storeHealth.keeps(operations.count(where: \.isResult))
        flushRecords()
    }

    /// One batch is with the store at a time; what comes meanwhile forms the next, so that a
    /// burst of ends costs few commits.
    func flushRecords() {
        guard !isRecording, !isRecordingLater, !pendingRecords.isEmpty else { return }
        isRecording = true
        let (batch, lines) = (pendingRecords, untold)
        (pendingRecords, untold) = ([], [])
        recordsUnderWay = batch
        Task {
            let rest = await write(batch)
            recordsUnderWay = []
            for (note, run) in lines { write(note, run) }
            isRecording = false
            if rest.isEmpty {
                flushRecords()
                endIfDrained()
            } else {
                pendingRecords = rest + pendingRecords
                isRecordingLater = true
                loop.timer(after: Self.recordBackoff) { [weak self] in
                    self?.assumeIsolated { supervisor in
                        supervisor.isRecordingLater = false
                        supervisor.flushRecords()
                    }
                }
            }
        }
    }

    /// Returns what could not be written and is to be tried again.
    private func write(_ batch: [RecordOperation]) async -> [RecordOperation] {
        var rest = batch
        let asked = clock.now().monotonic
        do {
            try await writeCompletions(&rest)
            try await writeRefusals(&rest)
            try await writeReleases(&rest)
            try await writeBreakers(&rest)
            try await writeAudits(&rest)
            storeAnswered(asked)
        } catch {
            storeFailed(error)
        }
        return rest
    }

    private func writeCompletions(_ rest: inout [RecordOperation]) async throws {
        let items: [(job: String, Completion)] = rest.compactMap {
            if case .complete(let job, let completion) = $0 { (job, completion) } else { nil }
        }
        guard !items.isEmpty else { return }
        let accepted = try await completeAll(items)
        rest.removeAll(where: \.isResult)
        storeHealth.wrote(items.count)
        for ((job, completion), isAccepted) in zip(items, accepted) {
            guard isAccepted else {
                log.warning("run \(completion.run) of \(job): its late result was refused (the attempt is no longer ours)")
                continue
            }
            if let due = completion.availableAt { dispatch(.waiting(job: job, due: due)) }
            for run in completion.enqueues { dispatch(.waiting(job: run.job, due: run.fireTime)) }
        }
    }

    /// As one batch; where one of them is not writable for a reason of its own, one by one, so
    /// that it takes no other with it.
    private func completeAll(_ items: [(job: String, Completion)]) async throws -> [Bool] {
        let asked = clock.now()
        let now = asked.wall
        do {
            let accepted = try await store.complete(items.map(\.1), now: now)
            events.emit(.store(operation: "complete", took: clock.now().monotonic - asked.monotonic))
            return accepted
        } catch let error as StoreError where error.kind != .unavailable {
            var accepted: [Bool] = []
            for (job, completion) in items {
                do {
                    accepted += try await store.complete([completion], now: now)
                } catch let error as StoreError where error.kind != .unavailable {
                    log.critical("run \(completion.run) of \(job): its result could not be recorded: \(error)")
                    accepted.append(false)
                }
            }
            return accepted
        }
    }

    private func writeRefusals(_ rest: inout [RecordOperation]) async throws {
        let items: [Refusal] = rest.compactMap {
            if case .refuse(let refusal) = $0 { refusal } else { nil }
        }
        guard !items.isEmpty else { return }
        try await store.refuseClaims(items, owner: owner, now: clock.now().wall)
        rest.removeAll { if case .refuse = $0 { true } else { false } }
    }

    private func writeReleases(_ rest: inout [RecordOperation]) async throws {
        let items: [HeldClaim] = rest.compactMap {
            if case .release(let claim) = $0 { claim } else { nil }
        }
        guard !items.isEmpty else { return }
        try await store.releaseClaims(items, owner: owner, now: clock.now().wall)
        rest.removeAll { if case .release = $0 { true } else { false } }
        dispatch(.released(jobs: Array(Set(items.map(\.job)))))
    }

    private func writeBreakers(_ rest: inout [RecordOperation]) async throws {
        while let position = rest.firstIndex(where: { if case .breaker = $0 { true } else { false } }) {
            guard case .breaker(let job, let row) = rest[position] else { return }
            // A completion of the same batch may have carried a newer one.
            if let i = dispatcher.index[job], let breaker = dispatcher.jobs[i].breaker, breaker.generation > row.generation {
                rest.remove(at: position)
                continue
            }
            try await store.saveBreaker(job: job, row, now: clock.now().wall)
            rest.remove(at: position)
        }
    }

    private func writeAudits(_ rest: inout [RecordOperation]) async throws {
        while let position = rest.firstIndex(where: { if case .audit = $0 { true } else { false } }) {
            guard case .audit(let row) = rest[position] else { return }
            try await store.writeAudit(row)
            rest.remove(at: position)
        }
    }

    /// The record of living workers that a later life of the host kills survivors by.
    /// Changes that come while one is being written are written together after it.
    func saveWorkers() {
        guard !isSavingWorkers else {
            hasNewWorkers = true
            return
        }
        isSavingWorkers = true
        hasNewWorkers = false
        let bootID = Survivors.bootID()
        let workers = room.snapshot()
        let rows = workers.map {
            WorkerRow(pid: $0.pid, startTime: $0.startTime, bootID: bootID, plugin: $0.plugin)
        }
        Task {
            do { try await store.saveWorkers(rows, host: owner.host) } catch { storeFailed(error) }
            isSavingWorkers = false
            if hasNewWorkers { saveWorkers() } else { endIfDrained() }
        }
    }
}
