import JobCore
import JobStore
import Logging

/// Tells the hub what one outbox gets. Its looks are to come one after the other.
actor OutboxFollower {
    private let name: String
    private let reader: OutboxReader
    private let hub: EventHub
    private let log: Logger
    private let clock: any TimeSource
    private let since: Instant
    /// nil: its database was not to be had yet.
    private var cursor: OutboxCursor?
    private var problem: String?
    /// Somebody may listen already: what was made since `since` is to be told.
    private var goesByTime = false

    /// What was made until now is nobody's who listens from now on.
    init(name: String, reader: OutboxReader, hub: EventHub, log: Logger, clock: any TimeSource) {
        self.name = name
        self.reader = reader
        self.hub = hub
        self.log = log
        self.clock = clock
        since = clock.now().wall
    }

    /// Its database is not to be had.
    var isAway: Bool { problem != nil }

    /// Somebody begins to listen, whether its place is known or not.
    func isAwaited() { goesByTime = true }

    /// → There is more.
    func look() async -> Bool {
        do {
            let isMore = try await tell()
            if problem != nil { log.notice("the outbox \(name) can be read again") }
            problem = nil
            return isMore
        } catch {
            if problem != "\(error)" { log.warning("the outbox \(name) cannot be read: \(error); it is tried again") }
            problem = "\(error)"
            return false
        }
    }

    private func tell() async throws -> Bool {
        guard var cursor = try await begun() else { return false }
        if !reader.mayCommitLate, !hub.isHeard {
            let last = try await reader.last()
            guard !Task.isCancelled else { return false }
            var skipped = cursor
            skipped.skip(to: last)
            // Whoever began to listen since then hears of each.
            if hub.pass(outbox: name, upTo: OutboxPlace(settled: skipped.settled, high: skipped.high)) {
                self.cursor = skipped
                return false
            }
        }
        var page = OutboxReader.Page()
        if !cursor.gaps.isEmpty { page = try await reader.rows(inAnyOf: cursor.gaps.map(\.numbers)) }
        // Nothing has a higher number than the highest.
        guard cursor.high < .max else { return false }
        let new = try await reader.rows(cursor.high + 1...Int64.max)
        guard !Task.isCancelled else { return false }
        let givenUp = cursor.took(page.numbers + new.numbers, now: clock.now().monotonic)
        self.cursor = cursor
        let unusable = page.unusable + new.unusable
        if !unusable.isEmpty {
            log.warning("the outbox \(name): rows \(unusable.map(String.init).joined(separator: ", ")) have no event or key, or one of more than \(OutboxReader.longestName) bytes: nobody is told of them")
        }
        if givenUp > 0 {
            log.warning("the outbox \(name): of the numbers that are missing the oldest are not looked for any more, there are more than \(OutboxCursor.mostGaps) gaps")
        }
        hub.tell(
            outbox: name, (page.rows + new.rows).compactMap { try? APIJSON.bytes(of: API.OutboxEvent(name, $0)) },
            upTo: OutboxPlace(settled: cursor.settled, high: cursor.high), isGap: givenUp > 0)
        return new.isCut
    }

    /// Where it begins. The first look finds what there is; a later one goes by when rows were made, since somebody
    /// may have listened meanwhile. Where rows come late, what was made shortly before may still be to come.
    private func begun() async throws -> OutboxCursor? {
        if let cursor { return cursor }
        defer { goesByTime = true }
        var (high, limit): (Int64, Instant?)
        repeat {
            limit = reader.mayCommitLate ? since - OutboxCursor.patience : goesByTime ? since : nil
            high = try await reader.last(before: limit)
            guard !Task.isCancelled else { return nil }
            // Who began to listen while it was looked for hears of what was made meanwhile.
        } while limit == nil && goesByTime
        cursor = OutboxCursor(high: high, mayCommitLate: reader.mayCommitLate)
        hub.tell(outbox: name, [], upTo: OutboxPlace(settled: high, high: high))
        return cursor
    }
}
