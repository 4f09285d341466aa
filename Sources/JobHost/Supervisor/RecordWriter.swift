import JobCore
import JobStore

/// What must reach the store whatever happens, in order; kept while the store is away.
enum RecordOperation: Sendable {
    case complete(job: String, Completion)
    case refuse(Refusal)
    case release(HeldClaim)
    case audit(AuditRow)

    /// The run that it settles.
    var run: RunID? {
        switch self {
        case .complete(_, let completion): completion.run
        case .refuse(let refusal): refusal.claim.run
        case .release(let claim): claim.run
        case .audit: nil
        }
    }

    /// The job whose breaker it changes.
    var breakersJob: String? {
        if case .complete(let job, let completion) = self, completion.breaker != nil { job } else { nil }
    }

    /// The job whose state it changes.
    var statesJob: String? {
        if case .complete(let job, let completion) = self, completion.stateBlob != nil { job } else { nil }
    }

    /// When the attempt ended whose end it is.
    var endedAt: Instant? {
        if case .complete(_, let completion) = self { completion.finishedAt } else { nil }
    }

    var isResult: Bool {
        if case .complete = self { true } else { false }
    }

    fileprivate enum Kind: CaseIterable { case complete, refuse, release, audit }

    fileprivate var kind: Kind {
        switch self {
        case .complete: .complete
        case .refuse: .refuse
        case .release: .release
        case .audit: .audit
        }
    }

    /// For the log and for health.
    var words: String {
        switch self {
        case .complete(let job, let completion): "the end (\(completion.outcome.rawValue)) of run \(completion.run) of \(job)"
        case .refuse(let refusal): "that run \(refusal.claim.run) of \(refusal.claim.job) was skipped (\(refusal.reason.rawValue))"
        case .release(let claim): "that run \(claim.run) of \(claim.job) is given back"
        case .audit(let row): "the audit of \"\(row.action)\"\(row.job.map { " of \($0)" } ?? "") by \(row.actor.name)"
        }
    }
}

/// A record on its way to the store. One that the store does not take, although it answers, is tried again
/// ever more seldom, and keeps nothing else waiting.
struct PendingRecord: Sendable {
    /// So often it is tried before anybody is told.
    static let patience = 4
    static let shortest = Duration.milliseconds(250)
    static let longest = Duration.seconds(60)

    var operation: RecordOperation
    /// Of its own, in a row.
    private(set) var faults = 0
    private(set) var problem = ""
    /// Not before then.
    private(set) var due: MonotonicInstant?
    /// The store has taken nothing since it refused this one: perhaps it refused everything.
    private var isOneOfAll = true

    init(_ operation: RecordOperation) { self.operation = operation }

    func isDue(_ now: MonotonicInstant) -> Bool { due.map { $0 <= now } ?? true }

    /// An operator is to hear of it.
    var isStuck: Bool { faults >= Self.patience }

    mutating func failed(_ error: StoreError, now: MonotonicInstant) {
        faults += 1
        problem = error.message
        due = now + min(Self.shortest * (1 << min(faults, 10)), Self.longest)
    }

    mutating func hurry() { due = nil }

    /// What else the store was sent with it, or after it. What it takes again brings this one forward, once: if this one
    /// alone is refused then, that is its own fault.
    mutating func heard(storeTook: Bool) {
        if storeTook, isOneOfAll { due = nil }
        isOneOfAll = !storeTook
    }

    /// What is wrong, a sentence; nil: it may still be a moment's fault.
    var sentence: String? {
        isStuck ? "the store refuses to record \(operation.words): \(problem); it is kept, and tried again" : nil
    }
}

extension StoreError {
    /// The store answers, and does not take this one. `incompatible` is everybody's: a newer host changed the store.
    var isOfItsOwn: Bool { kind == .broken || kind == .notFound }
}

extension Store {
    /// As one batch; where one of them meets a fault of its own, one by one, so that it takes no other with it.
    nonisolated(nonsending) func completeEach(_ completions: [Completion], now: Instant) async throws -> [Result<Bool, StoreError>] {
        do {
            return try await complete(completions, now: now).map { .success($0) }
        } catch let error as StoreError where error.isOfItsOwn {
            guard completions.count > 1 else { return [.failure(error)] }
            var results: [Result<Bool, StoreError>] = []
            for completion in completions {
                do {
                    results += try await complete([completion], now: now).map { .success($0) }
                } catch let error as StoreError { results.append(.failure(error)) }
            }
            return results
        }
    }
}

/// Writes records, each kind as a batch. What fails for a reason of its own comes back for later; when the
/// store itself fails, so does everything that is not written yet.
///
/// Its callers go on where they were, as with the store: an answer costs one wake-up of the host's loop.
struct RecordWriter {
    let store: any Store
    let owner: Owner
    let clock: any TimeSource

    struct Written {
        /// To be tried again.
        var rest: [PendingRecord] = []
        var ends: [(job: String, completion: Completion, isAccepted: Bool)] = []
        /// Jobs whose claims were given back.
        var released: Set<String> = []
        /// Jobs whose breaker was to be written with an end, and was not.
        var withoutBreaker: Set<String> = []
        /// The same of their state.
        var withoutState: Set<String> = []
        /// What an operator is to read at once.
        var lines: [String] = []
        /// Something has been written.
        var answered = false
        /// The store's own fault: everything after it has not been tried.
        var failure: (any Error)?
        /// The completions alone.
        var took: Duration?

        fileprivate mutating func left(out item: (job: String, completion: Completion)) {
            if item.completion.breaker != nil { withoutBreaker.insert(item.job) }
            if item.completion.stateBlob != nil { withoutState.insert(item.job) }
        }
    }

    nonisolated(nonsending) func write(_ batch: [PendingRecord]) async -> Written {
        var written = Written()
        let kinds = Dictionary(grouping: batch, by: \.operation.kind)
        for kind in RecordOperation.Kind.allCases {
            guard let records = kinds[kind] else { continue }
            if written.failure == nil { await write(records, kind, &written) } else { written.rest += records }
        }
        return written
    }

    nonisolated(nonsending) private func write(
        _ records: [PendingRecord], _ kind: RecordOperation.Kind, _ written: inout Written
    ) async {
        switch kind {
        case .complete: await complete(records, &written)
        case .refuse:
            await together(records, &written) { records in
                let refusals = records.compactMap { if case .refuse(let refusal) = $0.operation { refusal } else { nil } }
                try await store.refuseClaims(refusals, owner: owner, now: clock.now().wall)
            }
        case .release:
            await together(records, &written) { records in
                let claims = records.compactMap { if case .release(let claim) = $0.operation { claim } else { nil } }
                try await store.releaseClaims(claims, owner: owner, now: clock.now().wall)
            }
        case .audit:
            await eachAlone(records, &written) { record in
                if case .audit(let row) = record.operation { try await store.writeAudit(row) }
            }
        }
    }

    // MARK: Each in its way

    nonisolated(nonsending) private func complete(_ records: [PendingRecord], _ written: inout Written) async {
        let items: [(job: String, completion: Completion)] = records.compactMap {
            if case .complete(let job, let completion) = $0.operation { (job, completion) } else { nil }
        }
        let asked = clock.now()
        let results: [Result<Bool, StoreError>]
        do {
            results = try await store.completeEach(items.map(\.completion), now: asked.wall)
        } catch { return fail(records, error, &written) }
        written.took = clock.now().monotonic - asked.monotonic
        for (record, (item, result)) in zip(records, zip(items, results)) {
            switch result {
            case .success(let isAccepted):
                written.answered = true
                if !isAccepted { written.left(out: item) }
                written.ends.append((item.job, item.completion, isAccepted))
            case .failure(let error):
                if await completeBare(record, item, error, now: asked.wall, &written) { continue }
                keep(record, error, &written)
            }
        }
    }

    /// The end itself is worth more than what it leaves behind: it is not lost for that. false: it has nothing that
    /// could be left out, or that is not what the store refuses, or there is still hope for all of it.
    nonisolated(nonsending) private func completeBare(
        _ record: PendingRecord, _ item: (job: String, completion: Completion), _ error: StoreError, now: Instant,
        _ written: inout Written
    ) async -> Bool {
        guard error.isOfItsOwn, record.faults + 1 >= PendingRecord.patience, let bare = item.completion.withoutEffects(error),
            let isAccepted = try? await store.complete([bare], now: now).first
        else { return false }
        written.answered = true
        written.left(out: item)
        written.lines.append(
            "run \(bare.run) of \(item.job): its end is recorded without what it left behind (\(item.completion.effects)), which the store refuses: \(error)")
        written.ends.append((item.job, bare, isAccepted))
        return true
    }

    /// As one batch; where that has a fault of its own, one by one.
    nonisolated(nonsending) private func together(
        _ records: [PendingRecord], _ written: inout Written,
        _ body: nonisolated(nonsending) ([PendingRecord]) async throws -> Void
    ) async {
        do {
            try await body(records)
            done(records, &written)
        } catch let error as StoreError where error.isOfItsOwn && records.count > 1 {
            await eachAlone(records, &written) { try await body([$0]) }
        } catch { fail(records, error, &written) }
    }

    nonisolated(nonsending) private func eachAlone(
        _ records: [PendingRecord], _ written: inout Written, _ body: nonisolated(nonsending) (PendingRecord) async throws -> Void
    ) async {
        for (position, record) in records.enumerated() {
            do {
                try await body(record)
                done([record], &written)
            } catch let error as StoreError where error.isOfItsOwn {
                keep(record, error, &written)
            } catch { return fail(Array(records[position...]), error, &written) }
        }
    }

    private func done(_ records: [PendingRecord], _ written: inout Written) {
        written.answered = true
        for record in records {
            if case .release(let claim) = record.operation { written.released.insert(claim.job) }
        }
    }

    private func fail(_ records: [PendingRecord], _ error: any Error, _ written: inout Written) {
        if let error = error as? StoreError, error.isOfItsOwn {
            for record in records { keep(record, error, &written) }
        } else {
            written.failure = error
            written.rest += records
        }
    }

    private func keep(_ record: PendingRecord, _ error: StoreError, _ written: inout Written) {
        guard error.isOfItsOwn else { return fail([record], error, &written) }
        var record = record
        let wasStuck = record.isStuck
        record.failed(error, now: clock.now().monotonic)
        if !wasStuck, let sentence = record.sentence { written.lines.append(sentence) }
        written.rest.append(record)
    }
}

extension Completion {
    /// What commits with it, in words.
    fileprivate var effects: String {
        var words: [String] = []
        if stateBlob != nil { words.append("its job's state") }
        if !enqueues.isEmpty { words.append("\(enqueues.count) \(enqueues.count == 1 ? "run" : "runs") that it enqueued") }
        if breaker != nil { words.append("its job's breaker") }
        return words.joined(separator: ", ")
    }

    /// nil: it has none.
    fileprivate func withoutEffects(_ error: StoreError) -> Completion? {
        guard !effects.isEmpty else { return nil }
        var bare = self
        (bare.stateBlob, bare.enqueues, bare.breaker) = (nil, [], nil)
        bare.reason += (reason.isEmpty ? "" : "; ") + "not recorded with it: \(effects) (\(error.message))"
        return bare
    }
}
