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
        /// In the order in which they happened.
        var entries: [Entry]
        /// What follows this number is read from the ring, and whose id that is.
        var after: Int64
        var id: String
        /// The highest number of each outbox that was told by then.
        var told: [String: Int64]
    }

    /// More than that is a gap: the state is the shorter answer.
    static let mostEntries = 8_192
    static let mostBytes = 8 << 20
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
    private var kept: Read?
    private var coming: (since: Instant, start: EventHub.Start, task: Task<Read, any Error>)?

    init(control: any HostControl, shelf: SnapshotShelf, clock: any TimeSource) {
        self.control = control
        self.shelf = shelf
        self.clock = clock
    }

    /// For somebody who was told everything up to `since`, and listens from `start` on. nil: part of it is not to be had.
    /// Throws when the store does not answer.
    ///
    /// `holds`: whether everything after a number is still in the ring.
    func missed(since: Instant, start: EventHub.Start, holds: @Sendable (Int64) -> Bool) async throws -> Missed? {
        for width in [Self.width, .zero] {
            let read = try await read(since: since, width: width, start: start, holds: holds)
            guard let entries = read.entries else { continue }
            return Missed(entries: entries.filter { since < $0.until }, after: read.start.after, id: read.start.id, told: read.start.told)
        }
        return nil
    }

    /// Forgets what nobody will ask for any more.
    func tidy() {
        if let kept, clock.now().monotonic - kept.at > Self.patience { self.kept = nil }
    }

    private func read(since: Instant, width: Duration, start: EventHub.Start, holds: (Int64) -> Bool) async throws -> Read {
        func serves(_ read: Instant, _ other: EventHub.Start) -> Bool { read <= since && other.after <= start.after && holds(other.after) }
        let from = since - width
        // What went further back may have been too much where less is not.
        if let kept, serves(kept.since, kept.start), kept.entries != nil || from <= kept.since,
            clock.now().monotonic - kept.at <= Self.patience
        {
            return kept
        }
        if let coming, serves(coming.since, coming.start), from <= coming.since { return try await coming.task.value }
        let task = Task { [control, shelf, clock] in
            Read(since: from, entries: try await Self.entries(since: from, control, shelf), start: start, at: clock.now().monotonic)
        }
        coming = (from, start, task)
        defer { if coming?.task == task { coming = nil } }
        let read = try await task.value
        kept = read
        return read
    }

    private static func entries(since: Instant, _ control: any HostControl, _ shelf: SnapshotShelf) async throws -> [Entry]? {
        let (host, store) = (await shelf.snapshot(), control.store)
        var filter = RunFilter()
        filter.endedAfter = store.isShared ? since - slack : since
        filter.withoutPayloads = true
        filter.limit = mostEntries + 1
        let runs = try await store.runs(filter)
        guard runs.count <= mostEntries, keepsAll(runs, since: since, host) else { return nil }
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
        guard ranges.count < mostEntries, rows.count < mostEntries else { return nil }
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
        for reload in try await store.reloads(limit: 50) where reload.at > since - slack {
            entries.append(Entry(kind: .reload, job: nil, data: rawJSON(reload.report).canonicalBytes, at: reload.at, until: reload.at + slack))
        }
        add(.problems(host.problems, at: host.now), host.now, until: .distantFuture)
        guard entries.reduce(0, { $0 + $1.data.count }) <= mostBytes else { return nil }
        return entries.sorted { $0.at < $1.at }
    }

    /// Whether the ledger still has each run that ended since: of a job it keeps so many, for so long.
    private static func keepsAll(_ runs: [RunRecord], since: Instant, _ host: HostSnapshot) -> Bool {
        var ended: [String: Int] = [:]
        for run in runs { ended[run.job, default: 0] += 1 }
        return host.jobs.allSatisfy { job in
            guard let rule = job.retention else { return true }
            return ended[job.name] ?? 0 < rule.runs && host.now - since < rule.age
        }
    }
}
