import JobConfig
import JobCore
import JobStore
import Logging
import NIOCore
import NIOPosix

/// The outboxes that `[http] outbox` names: follows each while somebody listens, and has what a listener missed.
actor Outboxes {
    /// Between two looks while somebody listens, and while nobody does, when only its end is looked for.
    private static let pace = TimeAmount.milliseconds(500)
    private static let idlePace = TimeAmount.seconds(5)
    /// Rows of one look.
    private static let batch = 100

    private struct Followed {
        var source: OutboxSource
        var reader: OutboxReader
        var task: Task<Void, Never>
    }

    private let hub: EventHub
    private let log: Logger
    private let clock: any TimeSource
    private var followed: [String: Followed] = [:]
    /// What the config names is followed.
    private var isBegun = false

    init(hub: EventHub, log: Logger, clock: any TimeSource) {
        self.hub = hub
        self.log = log
        self.clock = clock
    }

    /// From now on these.
    func use(_ sources: [OutboxSource]) {
        isBegun = true
        for (name, old) in followed where !sources.contains(old.source) {
            old.task.cancel()
            followed[name] = nil
            hub.forgetOutbox(name)
        }
        for source in sources where followed[source.name] == nil {
            do {
                let reader = try OutboxReader(source.url)
                let task = Task { [hub, log, clock] in await Self.follow(source.name, reader, hub, log, clock) }
                followed[source.name] = Followed(source: source, reader: reader, task: task)
            } catch { log.error("the outbox \(source.name) is not followed: \(error)") }
        }
    }

    /// Their places stay in what the streams say until those end: whoever comes back asks from there.
    func stop() {
        for old in followed.values { old.task.cancel() }
        (followed, isBegun) = ([:], false)
    }

    /// What came after `seen` and up to `told`, by outbox. nil: too much. Throws `StoreError` when one does not answer.
    func missed(after seen: [String: Int64], upTo told: [String: Int64], limit: Int) async throws -> [[UInt8]]? {
        var (out, bytes): ([[UInt8]], Int) = ([], 0)
        for (name, first) in seen.sorted(by: { $0.key < $1.key }) {
            // What the config does not name any more is nobody's.
            guard let reader = followed[name]?.reader else {
                if isBegun { continue }
                throw StoreError(.unavailable, "the outbox \(name) has not been read yet")
            }
            guard let last = told[name] else { throw StoreError(.unavailable, "the outbox \(name) has not been read yet") }
            guard first < last else { continue }
            var seen = first
            while seen < last {
                let rows = try await reader.rows((seen + 1)...last, limit: Self.batch)
                out += rows.compactMap { try? APIJSON.bytes(of: API.OutboxEvent(name, $0)) }
                bytes += out.suffix(rows.count).reduce(0) { $0 + $1.count }
                guard out.count <= limit, bytes <= EventReplay.mostBytes else { return nil }
                guard rows.count == Self.batch, let newest = rows.last else { break }
                seen = newest.seq
            }
        }
        return out
    }

    private static func follow(_ name: String, _ reader: OutboxReader, _ hub: EventHub, _ log: Logger, _ clock: any TimeSource) async {
        var cursor: OutboxCursor?
        var problem: String?
        while !Task.isCancelled {
            var isFull = false
            do {
                // Where rows come late, which are missing is only known to whoever reads all of them.
                if var place = cursor, hub.isHeard || reader.mayCommitLate {
                    isFull = try await look(name, reader, &place, hub, clock)
                    cursor = place
                } else {
                    let last = try await reader.last(before: reader.mayCommitLate ? clock.now().wall - OutboxCursor.patience : nil)
                    guard !Task.isCancelled else { return }
                    var place = cursor ?? OutboxCursor(high: last, mayCommitLate: reader.mayCommitLate)
                    place.skip(to: last)
                    cursor = place
                    hub.tell(outbox: name, [], upTo: OutboxPlace(settled: place.settled, high: place.high))
                }
                if problem != nil { log.notice("the outbox \(name) can be read again") }
                problem = nil
            } catch {
                if problem != "\(error)" { log.warning("the outbox \(name) cannot be read: \(error); it is tried again") }
                problem = "\(error)"
            }
            guard !isFull else { continue }
            let pace = hub.isHeard && problem == nil ? Self.pace : idlePace
            try? await MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: pace) {}.futureResult.get()
        }
    }

    /// → There is more.
    private static func look(
        _ name: String, _ reader: OutboxReader, _ cursor: inout OutboxCursor, _ hub: EventHub, _ clock: any TimeSource
    ) async throws -> Bool {
        var rows: [OutboxRow] = []
        if !cursor.gaps.isEmpty { rows += try await reader.rows(inAnyOf: cursor.gaps.map(\.numbers), limit: batch) }
        // Nothing has a higher number than the highest.
        guard cursor.high < .max else { return false }
        let new = try await reader.rows((cursor.high + 1)...Int64.max, limit: batch)
        rows += new
        guard !Task.isCancelled else { return false }
        cursor.took(rows.map(\.seq), now: clock.now().monotonic)
        hub.tell(outbox: name, rows.compactMap { try? APIJSON.bytes(of: API.OutboxEvent(name, $0)) },
            upTo: OutboxPlace(settled: cursor.settled, high: cursor.high))
        return new.count == batch
    }
}
