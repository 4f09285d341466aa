import JobCore

/// What goes into the ring.
enum Streamed: Sendable {
    case event(API.EventKind, job: String?, data: [UInt8])
    case settled(Instant)
    /// How far an outbox is told.
    case outbox(String, OutboxPlace)

    var isEvent: Bool { if case .event = self { true } else { false } }
}

struct OutboxPlace: Hashable, Sendable {
    /// All up to here is told.
    var settled: Int64
    /// The highest that is.
    var high: Int64
}

/// The newest events, encoded once for all who listen. Bounded in number and bytes. Pure.
struct EventRing {
    struct Entry {
        var number: Int64
        var kind: API.EventKind
        /// nil: of the host.
        var job: String?
        /// As it goes over the wire.
        var bytes: [UInt8]
    }

    /// Where a listener stands.
    enum Position: Equatable {
        case after(Int64)
        /// What came after it is not here any more, or it is of another life of the host: the store has what came
        /// after this instant, and the outboxes what has higher numbers.
        case kept(since: Instant, seen: [String: Int64])
        /// It is none of a host's ids.
        case lost
    }

    static let mostEntries = 8_192
    static let mostBytes = 8 << 20

    /// Of this life of the host; part of each id.
    let epoch: String
    private var entries: [Entry] = []
    private var start = 0
    private var bytes = 0
    /// Of the newest event; 0: there was none.
    private(set) var last: Int64 = 0
    /// Every end up to here is in what was told until now.
    private(set) var settled: Instant
    private(set) var outboxes: [String: OutboxPlace] = [:]

    init(epoch: String, settled: Instant) {
        self.epoch = epoch
        self.settled = settled
    }

    /// Of the oldest event that is here.
    private var first: Int64 { last - Int64(entries.count - start) + 1 }

    /// Of the newest event.
    var newestID: String { "\(epoch)-\(last)~\(String(settled.microseconds, radix: 36))\(outboxText)" }
    private var outboxText = ""

    /// Of all that is appended from now on.
    mutating func settle(_ instant: Instant) { settled = instant }

    /// `place` nil: it is not followed any more.
    mutating func settle(outbox name: String, _ place: OutboxPlace?) {
        outboxes[name] = place
        outboxText = outboxes.sorted { $0.key < $1.key }.map { "~\($0.key)=\(String($0.value.settled, radix: 36))" }.joined()
    }

    mutating func append(_ kind: API.EventKind, job: String?, data: [UInt8]) {
        last += 1
        let text = Array("id: \(newestID)\nevent: \(kind.rawValue)\ndata: ".utf8) + data + [10, 10]
        entries.append(Entry(number: last, kind: kind, job: job, bytes: text))
        bytes += text.count
        while entries.count - start > Self.mostEntries || (bytes > Self.mostBytes && entries.count - start > 1) {
            bytes -= entries[start].bytes.count
            entries[start].bytes = []
            start += 1
        }
        if start > Self.mostEntries {
            entries.removeFirst(start)
            start = 0
        }
    }

    /// What came together, in its order. An id says that all before it is told, so each may name the newest instant
    /// that is settled when the next event comes.
    mutating func append(_ streamed: [Streamed]) {
        var held: (kind: API.EventKind, job: String?, data: [UInt8])?
        for next in streamed {
            switch next {
            case .settled(let instant): settle(instant)
            case .outbox(let name, let place): settle(outbox: name, place)
            case .event(let kind, let job, let data):
                if let held { append(held.kind, job: held.job, data: held.data) }
                held = (kind, job, data)
            }
        }
        if let held { append(held.kind, job: held.job, data: held.data) }
    }

    /// Something happened that nobody hears: who comes back with an earlier id has missed it.
    mutating func passOver() {
        last += 1
        (entries, start, bytes) = ([], 0, 0)
    }

    /// From a `Last-Event-ID`; nil: from now on.
    func position(of id: String?) -> Position {
        guard let id, !id.isEmpty else { return .after(last) }
        let parts = id.split(separator: "~", omittingEmptySubsequences: false)
        let place = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 2, place.count == 2, let number = Int64(place[1]), number >= 0,
            let microseconds = Int64(parts[1], radix: 36), microseconds >= 0
        else { return .lost }
        var seen: [String: Int64] = [:]
        for part in parts.dropFirst(2) {
            let pair = part.split(separator: "=", omittingEmptySubsequences: false)
            guard pair.count == 2, let number = Int64(pair[1], radix: 36), number >= 0 else { return .lost }
            seen[String(pair[0])] = number
        }
        if place[0] == epoch, number <= last, holds(after: number) { return .after(number) }
        return .kept(since: Instant(microseconds: microseconds), seen: seen)
    }

    /// Whether everything after `number` is here.
    func holds(after number: Int64) -> Bool { number >= first - 1 }

    /// What follows `number`, up to about `limit` bytes, of the kinds and the job wanted, and up
    /// to which number that is. nil: part of it is gone.
    func read(after number: Int64, kinds: Set<API.EventKind>, job: String?, limit: Int = 64 << 10) -> (bytes: [UInt8], upTo: Int64)? {
        guard holds(after: number) else { return nil }
        var out: [UInt8] = []
        var upTo = number
        for entry in entries[(start + Int(number - first + 1))...] {
            guard out.count < limit else { break }
            upTo = entry.number
            guard kinds.contains(entry.kind), job == nil || entry.job == nil || entry.job == job else { continue }
            out += entry.bytes
        }
        return (out, upTo)
    }
}
