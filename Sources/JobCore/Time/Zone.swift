/// A time zone: the offsets from UTC that a place used, uses, and will use by its present rule.
///
/// A value made from the bytes of one file of the system's tz database. Copies are cheap and
/// may be used from any thread.
public struct Zone: Hashable, Sendable {
    /// As asked for: "Europe/Berlin".
    public let name: String
    private let table: ZoneTable

    /// Reads a TZif file (RFC 9636, versions 1 to 4), whatever it contains: faulty bytes are an
    /// error and never a trap.
    /// - Throws: `ZoneError.malformed`, saying what is wrong with the file.
    public init(name: String, tzif: [UInt8]) throws(ZoneError) {
        var reader = TZifReader(bytes: tzif)
        do {
            table = try reader.table()
        } catch {
            throw ZoneError.malformed(name: name, reason: error.reason)
        }
        self.name = name
    }

    private init(utcNamed name: String) {
        self.name = name
        table = ZoneTable(initial: LocalTimeType(offset: 0, abbreviation: "UTC"), transitions: [], rule: nil)
    }

    public static let utc = Zone(utcNamed: "UTC")

    public static func == (a: Zone, b: Zone) -> Bool { a.name == b.name && (a.table === b.table || a.table.isEqual(to: b.table)) }
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    /// Seconds east of UTC.
    public func offset(at instant: Instant) -> Int { Int(table.span(at: instant.secondsFloor).offset) }

    /// "CET", "+0530".
    public func abbreviation(at instant: Instant) -> String { table.abbreviation(at: instant.secondsFloor) }

    /// What a wall clock there shows.
    public func civil(at instant: Instant) -> CivilTime {
        let second = instant.secondsFloor
        return CivilTime(localSeconds: second + table.span(at: second).offset)
    }

    /// The first change of the offset after `instant`; nil: there will be none.
    public func nextTransition(after instant: Instant) -> Transition? {
        var end = table.span(at: instant.secondsFloor).end
        while end != .max {
            let span = table.span(at: end)
            if span.shift != 0 { return Transition(span) }
            end = span.end
        }
        return nil
    }

    /// The newest change of the offset at or before `instant`; nil: there was none.
    public func lastTransition(atOrBefore instant: Instant) -> Transition? {
        var span = table.span(at: instant.secondsFloor)
        while span.shift == 0 {
            guard span.start != .min else { return nil }
            span = table.span(at: span.start - 1)
        }
        return Transition(span)
    }

    /// The instants at which a wall clock there shows `civil`.
    public func instants(of civil: CivilTime) -> LocalInstants { resolve(local: civil.localSeconds) }

    /// As `instants(of:)`, for seconds of the local clock since 1970-01-01 00:00:00.
    func resolve(local: Int64) -> LocalInstants {
        // Offsets are less than 26 hours: only spans that reach into this stretch can show it.
        var span = table.span(at: local - ZoneTable.maxOffset)
        var found: [Int64] = []
        var gap: Int64?
        while true {
            let second = local - span.offset
            if span.start <= second, second < span.end { found.append(second) }
            guard span.end != .max, span.end <= local + ZoneTable.maxOffset else { break }
            let next = table.span(at: span.end)
            if next.shift > 0, gap == nil, next.start + span.offset <= local, local < next.start + next.offset {
                gap = next.start
            }
            span = next
        }
        if let first = found.first {
            guard found.count > 1 else { return .once(Instant(seconds: first)) }
            return .twice(first: Instant(seconds: first), last: Instant(seconds: found[found.count - 1]))
        }
        // Every local time is either shown or jumped over, so there is a gap; the fallback
        // keeps the function total.
        return .never(gapEnd: Instant(seconds: gap ?? local - table.span(at: local).offset))
    }

    /// The stretch of one offset around `second` (seconds since the epoch).
    func span(at second: Int64) -> ZoneSpan { table.span(at: second) }

    /// A change of the offset. `instant` is the first one with the new offset.
    public struct Transition: Hashable, Sendable {
        public let instant: Instant
        /// Seconds east of UTC before and from `instant` on.
        public let before: Int
        public let after: Int

        init(_ span: ZoneSpan) {
            instant = Instant(seconds: span.start)
            before = Int(span.offset - span.shift)
            after = Int(span.offset)
        }
    }

    /// How often, and when, a local time occurs.
    public enum LocalInstants: Hashable, Sendable {
        case once(Instant)
        /// The clock was put back over it.
        case twice(first: Instant, last: Instant)
        /// The clock was put forward over it, at `gapEnd`.
        case never(gapEnd: Instant)
    }
}

/// Where zones come from: the system's tz database in the host, a table in tests.
public protocol ZoneSource: Sendable {
    /// - Throws: `ZoneError.unknown`, `.malformed` or `.unreadable`.
    func zone(named name: String) throws(ZoneError) -> Zone
}

public enum ZoneError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The tz database has no such zone. `nearest`: a name it has that looks alike.
    case unknown(name: String, nearest: String?)
    /// The zone's file is not a valid TZif file.
    case malformed(name: String, reason: String)
    /// The zone's file cannot be read now, which says nothing of it: the host is short of something itself.
    case unreadable(name: String, reason: String)

    /// It says nothing of the zone, and goes away without anybody touching a file.
    public var isOfHost: Bool { if case .unreadable = self { true } else { false } }

    public var description: String {
        switch self {
        case .unknown(let name, let nearest):
            "the time zone \"\(name)\" is not in the system's tz database"
                + (nearest.map { ", did you mean \"\($0)\"?" } ?? "")
        case .malformed(let name, let reason):
            "the file of the time zone \"\(name)\" is damaged: \(reason)"
        case .unreadable(let name, let reason):
            "the file of the time zone \"\(name)\" cannot be read: \(reason)"
        }
    }
}

/// A stretch of time with one offset. Seconds since the epoch.
struct ZoneSpan: Equatable {
    /// `Int64.min`: since ever.
    var start: Int64
    /// First second after the stretch; `Int64.max`: for ever.
    var end: Int64
    /// Seconds east of UTC.
    var offset: Int64
    /// What the offset grew by at `start`: positive is a gap in local time, negative a repetition.
    var shift: Int64
}

struct LocalTimeType: Hashable {
    var offset: Int64
    var abbreviation: String
}

/// All transitions of a zone. Immutable, so sharing it between threads is safe.
final class ZoneTable: Sendable {
    /// RFC 9636 §3.2: offsets lie between −25 and +26 hours.
    static let maxOffset: Int64 = 26 * 3_600
    private static let cycleSeconds = Gregorian.cycleDays * 86_400
    /// Transitions outside what `Instant` can hold are never looked up.
    private static let reach: Int64 = 9_300_000_000_000

    private let times: [Int64]
    private let offsets: [Int64]
    private let names: [String]
    private let initial: LocalTimeType
    /// Index of the transition from which on the table repeats every 400 years (the Gregorian
    /// calendar does, weekdays included, so a rule does too); nil: no rule with two offsets.
    private let cycleStart: Int?

    /// `transitions` in strictly ascending order; `rule` holds after the last of them.
    init(initial: LocalTimeType, transitions: [(time: Int64, type: LocalTimeType)], rule: PosixRule?) {
        var initial = initial
        var kept: [(time: Int64, type: LocalTimeType)] = []
        for entry in transitions where entry.time <= Self.reach {
            if entry.time < -Self.reach { initial = entry.type } else { kept.append(entry) }
        }
        var cycle: Int?
        if let rule {
            let explicit = kept.count
            // 1900 where the file has no transition at all, which only artificial zones do.
            let firstYear = kept.last.map { Gregorian.civil(day: $0.time.floorDivide(86_400)).year } ?? 1900
            let after = kept.last?.time ?? .min
            for event in rule.events(years: firstYear...(firstYear + 404)) where event.time > after { kept.append(event) }
            let periodic = Gregorian.day(year: firstYear + 2, month: 1, day: 1) * 86_400
            cycle = kept.indices.first { $0 > explicit && kept[$0].time >= periodic }
        }
        self.initial = initial
        times = kept.map(\.time)
        offsets = kept.map(\.type.offset)
        names = kept.map(\.type.abbreviation)
        cycleStart = cycle
    }

    func isEqual(to other: ZoneTable) -> Bool {
        initial == other.initial && times == other.times && offsets == other.offsets && names == other.names
    }

    func span(at second: Int64) -> ZoneSpan {
        let (index, moved) = locate(second)
        let offset = index < 0 ? initial.offset : offsets[index]
        let before = index <= 0 ? initial.offset : offsets[index - 1]
        return ZoneSpan(
            start: index < 0 ? .min : times[index] + moved,
            end: index + 1 < times.count ? times[index + 1] + moved : .max,
            offset: offset, shift: index < 0 ? 0 : offset - before)
    }

    func abbreviation(at second: Int64) -> String {
        let (index, _) = locate(second)
        return index < 0 ? initial.abbreviation : names[index]
    }

    /// Index of the newest transition at or before `second` (−1: none), and the whole cycles, in
    /// seconds, that the table has to be moved by.
    private func locate(_ second: Int64) -> (index: Int, moved: Int64) {
        var wanted = second
        var moved: Int64 = 0
        if let cycleStart, second >= times[cycleStart] + Self.cycleSeconds {
            moved = (second - times[cycleStart]) / Self.cycleSeconds * Self.cycleSeconds
            wanted -= moved
        }
        var low = 0
        var high = times.count
        while low < high {
            let middle = (low + high) / 2
            if times[middle] <= wanted { low = middle + 1 } else { high = middle }
        }
        return (low - 1, moved)
    }
}
