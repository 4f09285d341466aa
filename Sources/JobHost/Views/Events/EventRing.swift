import JobCore

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
        /// What came after it is not here any more, or it is of another life of the host.
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

    init(epoch: String) { self.epoch = epoch }

    /// Of the oldest event that is here.
    private var first: Int64 { last - Int64(entries.count - start) + 1 }

    func id(_ number: Int64) -> String { "\(epoch)-\(number)" }

    mutating func append(_ kind: API.EventKind, job: String?, data: [UInt8]) {
        last += 1
        let text = Array("id: \(id(last))\nevent: \(kind.rawValue)\ndata: ".utf8) + data + [10, 10]
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

    /// Something happened that nobody hears: who comes back with an earlier id has missed it.
    mutating func passOver() {
        last += 1
        (entries, start, bytes) = ([], 0, 0)
    }

    /// From a `Last-Event-ID`; nil: from now on.
    func position(of id: String?) -> Position {
        guard let id, !id.isEmpty else { return .after(last) }
        let parts = id.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == epoch, let number = Int64(parts[1]), number <= last, holds(after: number) else { return .lost }
        return .after(number)
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
