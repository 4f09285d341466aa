import JobCore
import JobStore

/// What a listener has missed whose events are not in the ring: it was away too long, or the host has been restarted since.
/// Read from the store, once for all who come back at nearly the same time.
///
/// Nothing is left out; what is at the edge may be told twice.
actor EventReplay {
    /// Something that happened.
    struct Entry: Sendable {
        var kind: API.EventKind
        /// nil: of the host.
        var job: String?
        var data: [UInt8]
        var at: Instant
        /// For listeners who were told everything up to an instant before this one.
        var until: Instant
    }

    struct Missed: Sendable {
        /// Of whoever was told everything up to then.
        fileprivate var since: Instant
        /// One list for all who come back together.
        fileprivate var all: [Entry]
        /// What follows this number is read from the ring, and whose id that is.
        var after: Int64
        var id: String
        /// The highest number of each outbox that was told by then.
        var told: [String: Int64]

        /// In the order in which they happened.
        var entries: some Sequence<Entry> { all.lazy.filter { since < $0.until } }
    }

    enum Answer: Sendable {
        case missed(Missed)
        /// Part of it is not to be had.
        case gone
        /// This client had so much read lately that it is not read for it now.
        case tooOften
    }

    /// More than that is a gap: the state is the shorter answer. At 200 runs a second it is 80 s: who was cut off after
    /// half a minute of taking nothing is back by then.
    static let mostEntries = 16_384
    static let mostBytes = 16 << 20
    /// Their reports are long.
    static let mostReloads = 50
    /// Actions and the like are on record a moment before or after they are told, runs of other hosts are told of seconds
    /// after their end.
    static let slack = Duration.seconds(10)
    /// How much further back one reading goes than its asker needs, so that it serves the others too.
    private static let width = Duration.seconds(10)
    private static let patience = Duration.seconds(60)

    private struct Read: Sendable {
        /// Everything after it; what the retention of a job has taken meanwhile is a gap.
        var since: Instant
        /// nil: more than `mostEntries` or `mostBytes`, or some of it is kept no longer.
        var entries: [Entry]?
        var start: EventHub.Start
        var at: MonotonicInstant
    }

    private let control: any HostControl
    private let shelf: SnapshotShelf
    private let clock: any TimeSource
    private var pace = ReplayPace()
    private var kept: Read?
    private var coming: (since: Instant, start: EventHub.Start, task: Task<Read, any Error>)?

    init(control: any HostControl, shelf: SnapshotShelf, clock: any TimeSource) {
        self.control = control
        self.shelf = shelf
        self.clock = clock
    }

    /// For somebody who was told everything up to `since`, and listens from `start` on. Throws when the store does not
    /// answer.
    ///
    /// - Parameters:
    ///   - client: who asks, by an address.
    ///   - holds: whether everything after a number is still in the ring.
    func missed(since: Instant, start: EventHub.Start, client: String, holds: @Sendable (Int64) -> Bool) async throws -> Answer {
        for width in [Self.width, .zero] {
            guard let read = try await read(since: since, width: width, start: start, client, holds: holds) else { return .tooOften }
            guard let entries = read.entries else { continue }
            return .missed(Missed(since: since, all: entries, after: read.start.after, id: read.start.id, told: read.start.told))
        }
        return .gone
    }

    /// Forgets what nobody will ask for any more.
    func tidy() {
        if let kept, clock.now().monotonic - kept.at > Self.patience { self.kept = nil }
    }

    /// One reading at a time, whoever asks. nil: `client` has used up its own.
    private func read(
        since: Instant, width: Duration, start: EventHub.Start, _ client: String, holds: (Int64) -> Bool
    ) async throws -> Read? {
        let host = await shelf.snapshot()
        func serves(_ read: Instant, _ other: EventHub.Start) -> Bool { read <= since && other.after <= start.after && holds(other.after) }
        let from = since - width
        while true {
            // What went further back may have been too much where less is not.
            if let kept, serves(kept.since, kept.start), kept.entries != nil || from <= kept.since,
                clock.now().monotonic - kept.at <= Self.patience
            {
                return kept
            }
            guard let other = coming else { break }
            let isThis = serves(other.since, other.start) && from <= other.since
            let read = await other.task.result
            if coming?.task == other.task { coming = nil }
            if isThis { return try read.get() }
        }
        // What is kept no longer is not worth the reading, and costs its asker none.
        guard Self.keeps(from, host) else { return Read(since: from, entries: nil, start: start, at: clock.now().monotonic) }
        guard pace.mayRead(client, now: clock.now().monotonic) else { return nil }
        let task = Task { [control, shelf, clock] in
            Read(since: from, entries: try await Self.entries(since: from, control, shelf), start: start, at: clock.now().monotonic)
        }
        coming = (from, start, task)
        let result = await task.result
        if coming?.task == task { coming = nil }
        let read = try result.get()
        kept = read
        return read
    }

    private static func entries(since: Instant, _ control: any HostControl, _ shelf: SnapshotShelf) async throws -> [Entry]? {
        let (host, store) = (await shelf.snapshot(), control.store)
        // It may have got old while others were read for.
        guard keeps(since, host) else { return nil }
        var filter = RunFilter()
        filter.endedAfter = store.isShared ? since - slack : since
        filter.withoutPayloads = true
        filter.limit = mostEntries + 1
        let runs = try await store.runs(filter)
        guard runs.count <= mostEntries, keepsAll(runs, host) else { return nil }
        var entries: [Entry] = []
        func add(_ event: HostEvent, _ at: Instant, until: Instant) {
            guard let (kind, job, data) = API.encode(event) else { return }
            entries.append(Entry(kind: kind, job: job, data: data, at: at, until: until))
        }
        for run in runs {
            guard let end = run.finishedAt else { continue }
            if store.isShared { add(.elsewhere(job: run.job, at: end), end, until: end + slack) }
            guard !store.isShared || run.owner == host.name, end > since else { continue }
            if let reason = NoRunReason(rawValue: run.reason), run.outcome == nil {
                add(.notRun(job: run.job, reason: reason, text: "the fire of \(run.fireTime.rfc3339) was \(reason.state.rawValue) (\(reason.rawValue))", at: end), end, until: end)
            } else {
                add(.ended(run), end, until: end)
            }
        }
        let ranges = try await store.ranges(job: nil, from: since - slack, to: nil, limit: mostEntries)
        for range in ranges {
            let text = "\(counted(Int(clamping: range.count), "fire")) \(range.count == 1 ? "was" : "were") \(range.reason.state.rawValue) (\(range.reason.rawValue)), the last one that of \(range.last.rfc3339)"
            add(.notRun(job: range.job, reason: range.reason, text: text, at: range.last), range.last, until: range.last + slack)
        }
        var actions = AuditFilter(limit: mostEntries)
        actions.from = since - slack
        let rows = try await store.audit(actions)
        let reloads = try await store.reloads(limit: mostReloads)
        guard ranges.count < mostEntries, rows.count < mostEntries, reloads.count < mostReloads || reloads.last.map({ $0.at <= since - slack }) ?? true
        else { return nil }
        for row in rows { add(.action(row), row.at, until: row.at + slack) }
        for job in host.jobs {
            // What the breaker is now, of those that were moved.
            if let moved = rows.first(where: { $0.job == job.name && $0.action.hasPrefix("breaker") }) {
                add(.breaker(job: job.name, mode: job.breaker.state, text: job.breaker.reason, at: moved.at), moved.at, until: moved.at + slack)
            }
            for run in job.running {
                guard let at = run.startedAt else { continue }
                add(.started(job: job.name, run: run.run, at: at, pid: run.pid), at, until: at + slack)
            }
        }
        for reload in reloads where reload.at > since - slack {
            entries.append(Entry(kind: .reload, job: nil, data: rawJSON(reload.report).canonicalBytes, at: reload.at, until: reload.at + slack))
        }
        add(.problems(host.problems, at: host.now), host.now, until: .distantFuture)
        guard entries.reduce(0, { $0 + $1.data.count }) <= mostBytes else { return nil }
        return entries.sorted { $0.at < $1.at }
    }

    /// Whether no job's retention has surely dropped some of what happened since.
    private static func keeps(_ since: Instant, _ host: HostSnapshot) -> Bool {
        host.jobs.allSatisfy { job in job.retention.map { host.now - since < $0.age } ?? true }
    }

    /// Whether the ledger still has each run that ended since, as far as their number goes.
    private static func keepsAll(_ runs: [RunRecord], _ host: HostSnapshot) -> Bool {
        var ended: [String: Int] = [:]
        for run in runs { ended[run.job, default: 0] += 1 }
        return host.jobs.allSatisfy { job in job.retention.map { ended[job.name] ?? 0 < $0.runs } ?? true }
    }
}

/// How often a client may have the store read for it: somebody whose ids go ever further back is not served by what was
/// read for others. Pure.
struct ReplayPace {
    /// At once, and how long until there is one more.
    static let most = 8
    static let interval = Duration.seconds(5)
    /// Clients that are remembered; of those without any use for it the first are forgotten.
    static let mostClients = 1_024

    /// From when on a client has all of its readings again.
    private var rested: [String: MonotonicInstant] = [:]

    /// Counts one, unless `client` has none left.
    mutating func mayRead(_ client: String, now: MonotonicInstant) -> Bool {
        let from = max(rested[client] ?? now, now)
        guard from - now <= Self.interval * (Self.most - 1) else { return false }
        if rested.count >= Self.mostClients, rested[client] == nil {
            rested = rested.filter { $0.value > now }
            if rested.count >= Self.mostClients, let least = rested.min(by: { $0.value < $1.value }) { rested[least.key] = nil }
        }
        rested[client] = from + Self.interval
        return true
    }
}
