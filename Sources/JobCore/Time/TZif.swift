/// Why a TZif file was refused.
struct TZifError: Error {
    var reason: String
    init(_ reason: String) { self.reason = reason }
}

/// Reads the TZif format, RFC 9636 (https://www.rfc-editor.org/rfc/rfc9636). Every count and
/// index of the file is checked before it is used.
struct TZifReader {
    private let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// Real files have some 250 transitions; a file that claims more than this is not a zone.
    private static let maxTransitions = 10_000

    private struct Header {
        var version: UInt8
        var utCount, standardCount, leapCount, timeCount, typeCount, nameBytes: Int
    }

    mutating func table() throws(TZifError) -> ZoneTable {
        let first = try header()
        guard first.version >= 0x32 else {
            let (initial, transitions) = try block(first, wide: false)
            return ZoneTable(initial: initial, transitions: transitions, rule: nil)
        }
        // Since version 2 the first block is a 32-bit copy for old readers.
        try skip(first.timeCount * 5 + first.typeCount * 6 + first.nameBytes + first.leapCount * 8)
        try skip(first.standardCount + first.utCount)
        let second = try header()
        let (initial, transitions) = try block(second, wide: true)
        return ZoneTable(initial: initial, transitions: transitions, rule: try footer())
    }

    private mutating func header() throws(TZifError) -> Header {
        guard try take(4) == [0x54, 0x5A, 0x69, 0x66] else { throw TZifError("it does not start with \"TZif\"") }
        let version = try take(1).first ?? 0
        _ = try take(15)
        var counts: [Int] = []
        for _ in 0..<6 { counts.append(Int(try number(4))) }
        let header = Header(
            version: version, utCount: counts[0], standardCount: counts[1], leapCount: counts[2],
            timeCount: counts[3], typeCount: counts[4], nameBytes: counts[5])
        guard (1...256).contains(header.typeCount), header.timeCount <= Self.maxTransitions, header.nameBytes <= 4_096,
            header.leapCount <= Self.maxTransitions, header.standardCount <= 256, header.utCount <= 256
        else { throw TZifError("its header announces impossible counts") }
        return header
    }

    private mutating func block(
        _ header: Header, wide: Bool
    ) throws(TZifError) -> (LocalTimeType, [(time: Int64, type: LocalTimeType)]) {
        guard header.leapCount == 0 else { throw TZifError("it counts leap seconds, which POSIX time does not") }
        var times: [Int64] = []
        for _ in 0..<header.timeCount {
            let raw = try number(wide ? 8 : 4)
            let time = wide ? Int64(bitPattern: raw) : Int64(Int32(truncatingIfNeeded: raw))
            if let last = times.last, time <= last { throw TZifError("its transitions are not in order") }
            times.append(time)
        }
        let indices = try take(header.timeCount)
        let rawTypes = try take(header.typeCount * 6)
        let names = try take(header.nameBytes)
        try skip(header.standardCount + header.utCount)
        var types: [LocalTimeType] = []
        for start in stride(from: 0, to: rawTypes.count, by: 6) {
            types.append(try type(Array(rawTypes[start..<start + 6]), names: names))
        }
        guard let initial = types.first else { throw TZifError("it has no local time type") }
        var transitions: [(time: Int64, type: LocalTimeType)] = []
        for (time, index) in zip(times, indices) {
            guard Int(index) < types.count else { throw TZifError("a transition names a local time type that is not there") }
            transitions.append((time, types[Int(index)]))
        }
        return (initial, transitions)
    }

    private func type(_ raw: [UInt8], names: [UInt8]) throws(TZifError) -> LocalTimeType {
        let offset = raw[0..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let seconds = Int64(Int32(bitPattern: offset))
        guard abs(seconds) < ZoneTable.maxOffset else { throw TZifError("an offset from UTC is \(seconds) seconds") }
        let start = Int(raw[5])
        guard start < names.count, let end = names[start...].firstIndex(of: 0) else {
            throw TZifError("an abbreviation lies outside its table")
        }
        return LocalTimeType(offset: seconds, abbreviation: String(decoding: names[start..<end], as: UTF8.self))
    }

    /// The line after the second block: a POSIX TZ string, empty where the last offset stays.
    private mutating func footer() throws(TZifError) -> PosixRule? {
        guard try take(1) == [0x0A] else { throw TZifError("its footer does not start on a line of its own") }
        guard let end = bytes[position...].firstIndex(of: 0x0A) else { throw TZifError("its footer is cut off") }
        let text = bytes[position..<end]
        return text.isEmpty ? nil : try PosixRule(Array(text))
    }

    private mutating func skip(_ count: Int) throws(TZifError) {
        guard count <= bytes.count - position else { throw TZifError("it is cut off") }
        position += count
    }

    private mutating func take(_ count: Int) throws(TZifError) -> [UInt8] {
        let start = position
        try skip(count)
        return Array(bytes[start..<start + count])
    }

    private mutating func number(_ width: Int) throws(TZifError) -> UInt64 {
        try take(width).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// The rule for the time after a file's last transition: POSIX.1-2024 §8.3 `TZ`, with the hours
/// of −167 … 167 that RFC 9636 §3.3.2 adds.
struct PosixRule {
    private var standard: LocalTimeType
    private var daylight: (type: LocalTimeType, start: Day, end: Day)?

    /// A day of the year and a time on it, in seconds after its midnight.
    struct Day {
        enum Form {
            /// `Jn`, 1 … 365; 29 February is never counted.
            case julian(Int)
            /// `n`, 0 … 365; 29 February counts.
            case ordinal(Int)
            /// `Mm.w.d`; week 5 is the last.
            case weekday(month: Int, week: Int, weekday: Int)
        }
        var form: Form
        var time: Int64
    }

    init(_ text: [UInt8]) throws(TZifError) {
        var reader = Reader(rest: text[...])
        let name = try reader.name()
        standard = LocalTimeType(offset: -(try reader.time(maxHour: 24)), abbreviation: name)
        if !reader.rest.isEmpty {
            let name = try reader.name()
            var offset = standard.offset + 3_600
            if let next = reader.rest.first, next != UInt8(ascii: ",") { offset = -(try reader.time(maxHour: 24)) }
            let start = try reader.day()
            let end = try reader.day()
            daylight = (LocalTimeType(offset: offset, abbreviation: name), start, end)
        }
        guard reader.rest.isEmpty, abs(standard.offset) < ZoneTable.maxOffset,
            abs(daylight?.type.offset ?? 0) < ZoneTable.maxOffset
        else { throw Reader.fault }
    }

    /// The changes that the rule makes in these years, in order of time, each to another type.
    func events(years: ClosedRange<Int64>) -> [(time: Int64, type: LocalTimeType)] {
        guard let daylight, daylight.type.offset != standard.offset else {
            return [(Gregorian.day(year: years.lowerBound, month: 1, day: 1) * 86_400, standard)]
        }
        var events: [(time: Int64, type: LocalTimeType)] = []
        for year in years {
            let start = (daylight.start.second(year: year) - standard.offset, daylight.type)
            let end = (daylight.end.second(year: year) - daylight.type.offset, standard)
            for event in start.0 <= end.0 ? [start, end] : [end, start] {
                // Daylight time all year is written as an end that falls on the next start.
                while let last = events.last, last.time >= event.0 { events.removeLast() }
                if let last = events.last, last.type == event.1 { continue }
                events.append((event.0, event.1))
            }
        }
        // What the year after the last would undo must not stay.
        let end = Gregorian.day(year: years.upperBound, month: 12, day: 31) * 86_400
        return events.filter { $0.time < end }
    }

    private struct Reader {
        var rest: ArraySlice<UInt8>
        static let fault = TZifError("its rule for the future cannot be read")

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard let byte = rest.first, UInt32(byte) == character.value else { return false }
            rest.removeFirst()
            return true
        }

        mutating func number(_ range: ClosedRange<Int>) throws(TZifError) -> Int {
            var value = 0
            var digits = 0
            while let byte = rest.first, (48...57).contains(byte), digits < 4 {
                value = value * 10 + Int(byte) - 48
                digits += 1
                rest.removeFirst()
            }
            guard digits > 0, range.contains(value) else { throw Self.fault }
            return value
        }

        /// `EST`, or `<+03>`.
        mutating func name() throws(TZifError) -> String {
            let quoted = take("<")
            let name = rest.prefix { byte in
                let letter = (65...90).contains(byte) || (97...122).contains(byte)
                return letter || quoted && ((48...57).contains(byte) || byte == 43 || byte == 45)
            }
            rest = rest.dropFirst(name.count)
            guard name.count >= 3, name.count <= 32, !quoted || take(">") else { throw Self.fault }
            return String(decoding: name, as: UTF8.self)
        }

        /// `[+-]hh[:mm[:ss]]` in seconds.
        mutating func time(maxHour: Int) throws(TZifError) -> Int64 {
            let negative = take("-")
            if !negative { _ = take("+") }
            var seconds = try number(0...maxHour) * 3_600
            if take(":") {
                seconds += try number(0...59) * 60
                if take(":") { seconds += try number(0...59) }
            }
            return Int64(negative ? -seconds : seconds)
        }

        /// `,date[/time]`; the time is 02:00:00 where it is not given.
        mutating func day() throws(TZifError) -> Day {
            guard take(",") else { throw Self.fault }
            let form: Day.Form
            if take("J") {
                form = .julian(try number(1...365))
            } else if take("M") {
                let month = try number(1...12)
                guard take(".") else { throw Self.fault }
                let week = try number(1...5)
                guard take(".") else { throw Self.fault }
                form = .weekday(month: month, week: week, weekday: try number(0...6))
            } else {
                form = .ordinal(try number(0...365))
            }
            return Day(form: form, time: take("/") ? try time(maxHour: 167) : 7_200)
        }
    }
}

extension PosixRule.Day {
    /// Seconds of the local clock since 1970-01-01 00:00:00.
    fileprivate func second(year: Int64) -> Int64 {
        let newYear = Gregorian.day(year: year, month: 1, day: 1)
        let leap = Gregorian.isLeap(year)
        let day: Int64
        switch form {
        case .julian(let n): day = newYear + Int64(n - 1) + (leap && n >= 60 ? 1 : 0)
        case .ordinal(let n): day = newYear + Int64(n)
        case .weekday(let month, let week, let weekday):
            let first = Gregorian.day(year: year, month: month, day: 1)
            let firstMatch = (weekday - Gregorian.weekday(day: first) + 7) % 7
            let length = Gregorian.daysInMonth(month, leap: leap)
            var dayIndex = firstMatch + (week - 1) * 7
            if dayIndex >= length { dayIndex -= 7 }
            day = first + Int64(dayIndex)
        }
        return day * 86_400 + time
    }
}
