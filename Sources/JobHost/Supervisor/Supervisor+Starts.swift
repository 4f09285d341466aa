import JobCore
import JobStore

// `on_start = true`: one run when the host starts, and one each time a reload adds the job.

/// Such runs that the store has not taken yet. What the store refuses, although it answers, is tried again ever more
/// seldom; it keeps no other waiting. Pure.
struct OwedStarts {
    struct Start: Hashable, Sendable {
        var job: String
        /// This start or this addition of the job: the run's idempotency key.
        var cause: String
        /// By a store that answers.
        fileprivate(set) var refusals = 0
        /// Not before then.
        fileprivate(set) var due: MonotonicInstant
        fileprivate(set) var problem = ""
        /// The store may have taken it, and the answer was lost.
        fileprivate(set) var mayBeIn: Bool
    }
    private static let shortest = Duration.seconds(1)
    private static let longest = Duration.seconds(60)
    /// By job: a newer one takes the place of an older one.
    private var starts: [String: Start] = [:]

    var isEmpty: Bool { starts.isEmpty }
    /// The next try has its time.
    var isTimed = false
    func due(_ now: MonotonicInstant) -> [Start] { starts.values.filter { $0.due <= now }.sorted { $0.job < $1.job } }

    /// Those that the store refuses: what is wrong, by job.
    var refused: [(job: String, sentence: String)] {
        starts.values.filter { $0.refusals > 0 }.sorted { $0.job < $1.job }.map {
            ($0.job, "the store refuses the run of \($0.job) that a start owes: \($0.problem); it is tried again")
        }
    }

    mutating func owe(_ job: String, cause: String, mayBeIn: Bool, now: MonotonicInstant) {
        starts[job] = Start(job: job, cause: cause, due: now, mayBeIn: mayBeIn)
    }

    /// A newer one takes its place, or the job is gone.
    mutating func forget(where isGone: (String) -> Bool) { starts = starts.filter { !isGone($0.key) } }

    /// The store has it, or nobody wants it any more.
    mutating func settled(_ start: Start) {
        if starts[start.job]?.cause == start.cause { starts[start.job] = nil }
    }

    mutating func refused(_ start: Start, _ problem: String, now: MonotonicInstant) {
        guard var owed = starts[start.job], owed.cause == start.cause else { return }
        owed.refusals += 1
        owed.due = now + min(Self.shortest * (1 << min(owed.refusals, 10)), Self.longest)
        (owed.problem, owed.mayBeIn) = (problem, false)
        starts[start.job] = owed
    }

    /// Whether the store has it is not known.
    mutating func unanswered(_ tried: [Start]) {
        for start in tried where starts[start.job]?.cause == start.cause { starts[start.job]?.mayBeIn = true }
    }
}

extension Supervisor {
    /// Where the store does not take them (it is away, this machine's clock is wrong), they are tried again each second.
    func enqueueStartRuns(of jobs: [String]) async {
        // A job that was removed and is added again starts again: with one run, whatever is owed from before.
        let causes = jobs.map { (job: $0, cause: "\($0)@start-\(owner.epoch)-\(generation.number)") }
        startsOwed.forget(where: Set(jobs).contains)
        do {
            try await enqueue(starts: causes.compactMap { startRun($0.job, cause: $0.cause) })
        } catch {
            noteStartFailure(error)
            let mayBeIn = !Self.isRefusal(error)
            for (job, cause) in causes where startRun(job, cause: cause) != nil {
                startsOwed.owe(job, cause: cause, mayBeIn: mayBeIn, now: clock.now().monotonic)
            }
            tryOwedStartsLater()
        }
    }

    /// One chain of tries, however many are owed.
    private func tryOwedStartsLater() {
        guard !startsOwed.isEmpty, !startsOwed.isTimed else { return }
        startsOwed.isTimed = true
        inASecond { await $0.enqueueOwedStartRuns() }
    }

    private func enqueueOwedStartRuns() async {
        startsOwed.isTimed = false
        do {
            var tried: [(start: OwedStarts.Start, run: NewRun)] = []
            for start in startsOwed.due(clock.now().monotonic) {
                if let run = startRun(start.job, cause: start.cause), try await !hasStarted(start) {
                    tried.append((start, run))
                } else {
                    startsOwed.settled(start)
                }
            }
            try await enqueueOwed(tried)
        } catch {
            noteStartFailure(error)
        }
        tryOwedStartsLater()
    }

    /// Together; where that is refused, each by itself: what is wrong with one is not the others'.
    private func enqueueOwed(_ tried: [(start: OwedStarts.Start, run: NewRun)]) async throws {
        do {
            try await enqueue(starts: tried.map(\.run))
            for (start, _) in tried { startsOwed.settled(start) }
        } catch where Self.isRefusal(error) && tried.count > 1 {
            for one in tried { try await enqueueOwed([one]) }
        } catch where Self.isRefusal(error) {
            for (start, _) in tried {
                if start.refusals == 0 { log.error("the run of \(start.job) that a start owes is refused: \(error)") }
                startsOwed.refused(start, "\(error)", now: clock.now().monotonic)
            }
        } catch {
            startsOwed.unanswered(tried.map(\.start))
            throw error
        }
    }

    /// The store answers, and has taken nothing.
    private static func isRefusal(_ error: any Error) -> Bool { (error as? StoreError)?.isOfItsOwn == true }

    private func noteStartFailure(_ error: any Error) {
        if !Self.isRefusal(error) { storeFailed(error) }
    }

    /// One that was taken, and whose answer was lost, may have ended meanwhile.
    private func hasStarted(_ start: OwedStarts.Start) async throws -> Bool {
        guard start.mayBeIn else { return false }
        var filter = RunFilter(job: start.job)
        (filter.limit, filter.withoutPayloads) = (1_000, true)
        while true {
            let runs = try await store.runs(filter)
            if runs.contains(where: { $0.idempotencyKey == start.cause }) { return true }
            guard let last = runs.last, runs.count == filter.limit, last.createdAt >= startedAt else { return false }
            filter.before = last.id
        }
    }

    /// nil: none is wanted, or none any more.
    private func startRun(_ job: String, cause: String) -> NewRun? {
        guard let i = dispatcher.index[job], dispatcher.jobs[i].plan.config.onStart, dispatcher.jobs[i].isEnabled else { return nil }
        var run = NewRun(job: job, trigger: .start, fireTime: clock.now().wall)
        dispatcher.setDefaults(&run, dispatcher.jobs[i].plan)
        // A start run that still waits from an earlier life is enough.
        run.uniqueKey = "start"
        run.idempotencyKey = cause
        return run
    }

    private func enqueue(starts runs: [NewRun]) async throws {
        guard !runs.isEmpty else { return }
        let now = clock.now().wall
        for result in try await store.enqueue(runs, now: now) { dispatch(.waiting(job: result.run.job, due: now)) }
    }
}
