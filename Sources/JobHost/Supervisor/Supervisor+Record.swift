import JobCore
import JobStore

extension Supervisor {
    static var recordBackoff: Duration { .milliseconds(250) }

    /// What is to be in the store, and told once it is.
    func record(_ actions: DispatchActions) {
        // Whoever reads of an end finds it in the store; while that is away the log is all there is.
        let waits = !actions.completions.isEmpty && storeHealth.problem == nil
        if waits { untold += actions.notes }
        for (job, completion) in actions.completions { pendingRecords.append(PendingRecord(.complete(job: job, completion))) }
        for refusal in actions.refusals { pendingRecords.append(PendingRecord(.refuse(refusal))) }
        for claim in actions.releases { pendingRecords.append(PendingRecord(.release(claim))) }
        if !(actions.completions.isEmpty && actions.refusals.isEmpty && actions.releases.isEmpty) {
            storeHealth.keeps(actions.completions.count)
            flushRecords()
        }
        if !waits { for note in actions.notes { write(note) } }
    }

    func record(_ operations: [RecordOperation]) {
        guard !operations.isEmpty else { return }
        pendingRecords += operations.map { PendingRecord($0) }
        storeHealth.keeps(operations.count(where: \.isResult))
        flushRecords()
    }

    /// What has not reached the store.
    var unrecorded: [PendingRecord] { pendingRecords + recordsUnderWay + refusedRecords }

    var isEverythingRecorded: Bool { pendingRecords.isEmpty && refusedRecords.isEmpty && !isRecording }

    /// One batch is with the store at a time; what comes meanwhile forms the next, so that a
    /// burst of ends costs few commits.
    func flushRecords() {
        guard !isRecording, !isRecordingLater else { return }
        let now = clock.now().monotonic
        let again = refusedRecords.filter { $0.isDue(now) }
        guard !pendingRecords.isEmpty || !again.isEmpty else { return lookAgainAtRefused() }
        if !again.isEmpty { refusedRecords.removeAll { $0.isDue(now) } }
        isRecording = true
        let (batch, lines) = (again + pendingRecords, untold)
        (pendingRecords, untold) = ([], [])
        recordsUnderWay = batch
        let writer = RecordWriter(store: store, owner: owner, clock: clock)
        Task {
            let asked = clock.now().monotonic
            let written = await writer.write(batch)
            recordsUnderWay = []
            wrote(written, asked: asked)
            for note in lines { write(note) }
            if !lines.isEmpty { tellSettled(waiting: written.rest) }
            isRecording = false
            if written.failure == nil {
                refusedRecords += written.rest
                // What is tried again alone, and refused again, says nothing of the others.
                if written.answered || batch.contains(where: { $0.faults == 0 }) {
                    for i in refusedRecords.indices { refusedRecords[i].heard(storeTook: written.answered) }
                }
                flushRecords()
                endIfDrained()
            } else {
                refusedRecords += written.rest.filter { $0.faults > 0 }
                pendingRecords = written.rest.filter { $0.faults == 0 } + pendingRecords
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

    /// From when on somebody who was told everything until now has to read the ledger, should this life of the host
    /// end here: before the first end of which it has not been told yet.
    ///
    /// - Parameter late: how long an end may have been on its way to here.
    private func tellSettled(waiting rest: [PendingRecord], late: Duration = longestWayHere) {
        var settled = clock.now().wall - late
        for records in [rest, pendingRecords, recordsUnderWay, refusedRecords] {
            for record in records { settled = min(settled, record.operation.endedAt ?? settled) }
        }
        for note in untold { settled = min(settled, note.record?.value.finishedAt ?? settled) }
        events.emit(.settled(settled - .microseconds(1)))
    }
    /// Where nothing ends too: what a listener knows would stand still there, and the ledger's retention go past it.
    /// This turn may come before one that hears of ends which waited while this host stood still.
    func tellSettled() { tellSettled(waiting: [], late: .seconds(5)) }

    /// From an end, by its worker's clock, to when it is heard of here: what ended just now may be on its way.
    private static let longestWayHere: Duration = .milliseconds(250)

    private func lookAgainAtRefused() {
        guard let due = refusedRecords.compactMap(\.due).min(), refusedTimer == nil else { return }
        refusedTimer = loop.timer(at: due) { [weak self] in
            self?.assumeIsolated { supervisor in
                supervisor.refusedTimer = nil
                supervisor.flushRecords()
            }
        }
    }

    /// They are not in the store as this host believes. Read when nothing of theirs is on its way there.
    private func readUnsureBreakers() {
        guard !breakersUnsure.isEmpty else { return }
        let jobs = breakersUnsure.subtracting(unrecorded.compactMap(\.operation.breakersJob))
        guard !jobs.isEmpty else { return }
        let before = ownDecisions
        Task {
            do {
                let rows = try await store.jobStates(of: jobs.sorted())
                // An operator has decided something here meanwhile: asked again with the next record.
                guard before == ownDecisions else { return }
                for job in jobs.subtracting(unrecorded.compactMap(\.operation.breakersJob)) {
                    breakersUnsure.remove(job)
                    if let row = rows[job]?.breaker { perform(dispatcher.adoptBreaker(job: job, row, now: clock.now())) }
                }
            } catch { storeFailed(error) }
        }
    }

    /// The same of jobs' states. What an attempt has left since stands: its own end says whether the store has it.
    private func readUnsureStates() {
        guard !statesUnsure.isEmpty else { return }
        for job in statesUnsure.subtracting(unrecorded.compactMap(\.operation.statesJob)) {
            guard let revision = dispatcher.index[job].map({ dispatcher.jobs[$0].stateRevision }) else {
                statesUnsure.remove(job)
                continue
            }
            Task {
                do {
                    let state = try await store.stateBlob(job: job).map { StateBlob(version: $0.version, bytes: $0.bytes) }
                    // A newer one was on its way all the while, or is again: read after it.
                    guard !unrecorded.contains(where: { $0.operation.statesJob == job }) else { return }
                    statesUnsure.remove(job)
                    perform(dispatcher.restoreState(of: job, state, insteadOf: revision, now: clock.now()))
                } catch { storeFailed(error) }
            }
        }
    }

    private func wrote(_ written: RecordWriter.Written, asked: MonotonicInstant) {
        for line in written.lines { log.critical("\(line)") }
        if let took = written.took { events.emit(.store(operation: "complete", took: took)) }
        storeHealth.wrote(written.ends.count)
        for (job, completion, isAccepted) in written.ends {
            if completion.breaker != nil { breakersWritten.insert(job) }
            guard isAccepted else {
                log.warning("run \(completion.run) of \(job): its late result was refused (the attempt is no longer ours)", metadata: ["said.job": "\(job)", "said.run": "\(completion.run)"])
                continue
            }
            if let due = completion.availableAt { dispatch(.waiting(job: job, due: due)) }
            for run in completion.enqueues { dispatch(.waiting(job: run.job, due: run.fireTime)) }
        }
        if !written.released.isEmpty { dispatch(.released(jobs: Array(written.released))) }
        breakersUnsure.formUnion(written.withoutBreaker)
        readUnsureBreakers()
        statesUnsure.formUnion(written.withoutState)
        readUnsureStates()
        if let failure = written.failure {
            storeFailed(failure)
        } else if written.answered {
            storeAnswered(asked)
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
