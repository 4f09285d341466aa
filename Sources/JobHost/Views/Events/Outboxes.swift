import JobConfig
import JobCore
import JobStore
import Logging
import NIOCore
import NIOPosix

/// The outboxes that `[http] outbox` names: follows each, and has what a listener missed.
actor Outboxes {
    /// Between two looks while somebody listens, and while nobody does. (Then only the end is looked for; but where rows
    /// come late all are read: which are missing is known in no other way.)
    private static let pace = TimeAmount.milliseconds(500)
    private static let idlePace = TimeAmount.seconds(5)

    private struct Followed {
        var source: OutboxSource
        var reader: OutboxReader
        var follower: OutboxFollower
        /// Its place is known, or its database was not to be had.
        var first: Task<Void, Never>
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
                let follower = OutboxFollower(name: source.name, reader: reader, hub: hub, log: log, clock: clock)
                let first = Task { _ = await follower.look() }
                let task = Task {
                    await first.value
                    while !Task.isCancelled {
                        let isClose = await !follower.isAway && hub.isHeard
                        let pace = isClose ? Self.pace : Self.idlePace
                        try? await MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: pace) {}.futureResult.get()
                        while !Task.isCancelled, await follower.look() {}
                    }
                }
                followed[source.name] = Followed(source: source, reader: reader, follower: follower, first: first, task: task)
            } catch { log.error("the outbox \(source.name) is not followed: \(error)") }
        }
    }

    /// Their places stay in what the streams say until those end: whoever comes back asks from there.
    func stop() {
        for old in followed.values { old.task.cancel() }
        (followed, isBegun) = ([:], false)
    }

    /// How long a listener waits for databases that do not answer.
    static let patience = TimeAmount.milliseconds(1_500)

    /// Returns when whoever begins to listen hears of every row from now on: when the places are known, or after
    /// `patience`, from when on those that are not known yet go by when rows were made.
    func areReady() async {
        let awaited = Array(followed.values)
        guard !awaited.isEmpty else { return }
        let (either, known) = AsyncStream.makeStream(of: Void.self)
        Task {
            for one in awaited { await one.first.value }
            known.finish()
        }
        let limit = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: Self.patience) { known.finish() }
        for await _ in either {}
        limit.cancel()
        for one in awaited { await one.follower.isAwaited() }
    }

    /// Numbers of rows that a listener has missed.
    struct Missed: Sendable {
        var outbox: String
        var numbers: ClosedRange<Int64>
    }

    /// What came after `seen` and up to `told`, by outbox. nil: too much. Throws `StoreError` when one does not answer.
    func missed(after seen: [String: Int64], upTo told: [String: Int64]) async throws -> [Missed]? {
        var missed: [Missed] = []
        var (rows, bytes): (Int64, Int64) = (0, 0)
        for (name, first) in seen.sorted(by: { $0.key < $1.key }) {
            // What the config does not name any more is nobody's.
            guard let reader = followed[name]?.reader else {
                if isBegun { continue }
                throw StoreError(.unavailable, "the outbox \(name) has not been read yet")
            }
            guard let last = told[name] else { throw StoreError(.unavailable, "the outbox \(name) has not been read yet") }
            guard first < last else { continue }
            let size = try await reader.size(first + 1...last, limit: EventReplay.mostEntries + 1)
            (rows, bytes) = (rows + size.rows, bytes + size.bytes)
            guard rows <= EventReplay.mostEntries, bytes <= EventReplay.mostBytes else { return nil }
            missed.append(Missed(outbox: name, numbers: first + 1...last))
        }
        return missed
    }

    /// The first of them, and those that are left; nil: there are none. So that however many listen, and however slowly,
    /// each has one page in memory.
    func page(of missed: Missed) async throws -> (rows: [[UInt8]], rest: Missed?)? {
        guard let reader = followed[missed.outbox]?.reader else { return nil }
        let page = try await reader.rows(missed.numbers)
        guard let last = page.numbers.last else { return nil }
        let rest = last < missed.numbers.upperBound ? Missed(outbox: missed.outbox, numbers: last + 1...missed.numbers.upperBound) : nil
        return (page.rows.compactMap { try? APIJSON.bytes(of: API.OutboxEvent(missed.outbox, $0)) }, rest)
    }
}
