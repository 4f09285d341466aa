import NearestName

/// What the fields of an expression say, before it is laid out for searching.
struct CronFields {
    var seconds: UInt64 = 1
    var minutes: UInt64 = 0
    var hours: UInt32 = 0
    var months: UInt16 = 0
    var days = CronDays()
    /// The time of day has `*`, a range or a step.
    var isInterval = false
    /// As written, one for each field; the seconds of five fields are "0".
    var written: [CronField: String] = [:]
}

/// Reads the text of a cron expression.
enum CronParser {
    /// Longer than any expression that a person writes.
    private static let maxLength = 1_000

    private static let macros: [String: String] = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
    ]

    /// The text with blanks at the ends removed and others folded to one space.
    static func canonical(_ text: String) -> String { words(text).joined(separator: " ") }

    private static func words(_ text: String) -> [Substring] {
        text.split { $0 == " " || $0 == "\t" || $0 == "\n" || $0 == "\r\n" || $0 == "\r" }
    }

    static func parse(_ text: String) throws(CronError) -> CronFields {
        guard text.utf8.count <= maxLength else {
            throw CronError(nil, found: text, "it is longer than \(maxLength) bytes")
        }
        var words = words(text)
        if let macro = words.first, macro.hasPrefix("@") {
            words = self.words(try expand(macro: canonical(text)))
        }
        guard words.count == 5 || words.count == 6 else { throw wrongCount(words.count, text: canonical(text)) }
        var fields = CronFields()
        fields.written[.second] = "0"
        let present = words.count == 6 ? CronField.allCases[...] : CronField.allCases.dropFirst()
        var starred: [CronField: Bool] = [:]
        for (field, word) in zip(present, words) {
            var reader = CronFieldReader(field: field, text: String(word))
            try reader.read(into: &fields)
            fields.written[field] = String(word)
            starred[field] = word.hasPrefix("*") || word.hasPrefix("?")
        }
        fields.days.either = starred[.dayOfMonth] == false && starred[.dayOfWeek] == false
        return fields
    }

    private static func expand(macro: String) throws(CronError) -> String {
        let name = macro.lowercased()
        if let expansion = macros[name] { return expansion }
        let allowed = "allowed are \(macros.keys.sorted().joined(separator: ", "))"
        if name == "@reboot" {
            throw CronError(
                nil, found: macro, "it is no time; \(allowed)", hint: "write on_start = true to run when the host starts")
        }
        if name.hasPrefix("@every") {
            let interval = name.dropFirst(6).split(separator: " ").joined()
            throw CronError(
                nil, found: macro, "intervals are not cron",
                hint: "write every = \"\(interval.isEmpty ? "5m" : interval)\" instead of cron")
        }
        throw CronError(
            nil, found: macro, "there is no such shorthand; \(allowed)",
            hint: nearestName(name, among: macros.keys.sorted()).map { "did you mean \($0)?" })
    }

    private static func wrongCount(_ count: Int, text: String) -> CronError {
        let fields = count == 1 ? "1 field" : "\(count) fields"
        let hint: String? =
            switch count {
            case 0: "every minute is * * * * *"
            case 7: "a year cannot be given; for one date write at = \"2027-01-01T00:00:00Z\""
            default: nil
            }
        return CronError(
            nil, found: text,
            "it has \(fields), allowed are 5 (minute, hour, day of month, month, day of week) or 6 (second first)", hint: hint)
    }
}

/// Reads one field.
private struct CronFieldReader {
    let field: CronField
    let text: String
    private var bits: UInt64 = 0
    private var days = CronDays()
    private var isInterval = false

    init(field: CronField, text: String) {
        self.field = field
        self.text = text
    }

    mutating func read(into fields: inout CronFields) throws(CronError) {
        for item in text.uppercased().split(separator: ",", omittingEmptySubsequences: false) {
            guard !item.isEmpty else { throw error("an item of the list is empty", hint: "remove the extra comma") }
            try read(item: String(item))
        }
        switch field {
        case .second: fields.seconds = bits
        case .minute: fields.minutes = bits
        case .hour: fields.hours = UInt32(truncatingIfNeeded: bits)
        case .month: fields.months = UInt16(truncatingIfNeeded: bits)
        case .dayOfMonth:
            fields.days.days = UInt32(truncatingIfNeeded: bits)
            fields.days.fromLast = days.fromLast
            fields.days.nearest = days.nearest
            fields.days.lastWorkday = days.lastWorkday
        case .dayOfWeek:
            fields.days.weekdays = UInt8(truncatingIfNeeded: bits | bits >> 7 & 1) & 0x7F
            fields.days.lastWeekday = days.lastWeekday
            fields.days.nthWeekday = days.nthWeekday
        }
        if field.rawValue <= CronField.hour.rawValue, isInterval { fields.isInterval = true }
    }

    private mutating func read(item: String) throws(CronError) {
        if field == .dayOfMonth, try readSpecialDay(item) { return }
        if field == .dayOfWeek, try readSpecialWeekday(item) { return }
        let halves = item.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count <= 2 else { throw error("\"\(item)\" has more than one step") }
        let step = halves.count == 2 ? try step(String(halves[1])) : nil
        try readRange(String(halves[0]), step: step)
    }

    /// `*`, `5`, `5-9`, `22-2`, each with an optional step.
    private mutating func readRange(_ range: String, step: Int?) throws(CronError) {
        if range == "*" || range == "?" {
            isInterval = true
            set(from: field.distinct.lowerBound, to: field.distinct.upperBound, step: step ?? 1)
            return
        }
        let ends = range.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count <= 2 else { throw error("\"\(range)\" is not a range") }
        let first = try value(String(ends[0]))
        if ends.count == 2 {
            let last = try value(String(ends[1]))
            isInterval = isInterval || first != last || step != nil
            setWrapping(from: first, to: last, step: step ?? 1)
        } else if let step {
            isInterval = true
            // 5/15 is 5-59/15; a week ends on Saturday.
            set(from: first == 7 && field == .dayOfWeek ? 0 : first, to: field.distinct.upperBound, step: step)
        } else {
            set(from: first, to: first, step: 1)
        }
    }

    private mutating func set(from first: Int, to last: Int, step: Int) {
        for value in stride(from: first, through: last, by: step) { bits |= 1 << UInt64(value) }
    }

    /// A range whose end lies before its start goes on at the field's lowest value.
    private mutating func setWrapping(from first: Int, to last: Int, step: Int) {
        guard first > last else { return set(from: first, to: last, step: step) }
        let lowest = field.distinct.lowerBound
        let size = field.distinct.count
        // Sunday at the start of a range is 0: SUN-TUE and 7-2 are the same.
        let start = field == .dayOfWeek && first == 7 ? 0 : first
        let span = (last - start + size) % size
        for distance in stride(from: 0, through: span, by: step) {
            bits |= 1 << UInt64(lowest + (start - lowest + distance) % size)
        }
    }

    private func step(_ text: String) throws(CronError) -> Int {
        guard let step = number(text) else { throw error("the step \"\(text)\" is not a number") }
        guard step >= 1 else { throw error("the step is 0", hint: "leave the step out for every value") }
        guard step <= field.distinct.count else {
            throw error("the step \(text) is larger than the field, allowed are 1-\(field.distinct.count)", hint: stepHint(step))
        }
        return step
    }

    private func stepHint(_ step: Int) -> String? {
        switch field {
        case .second where step % 60 == 0: "every \(step / 60) minutes is */\(step / 60) in the minute field"
        case .minute where step % 60 == 0: "every \(step / 60) hours is */\(step / 60) in the hour field"
        case .second: "for an interval that is not part of a minute write every = \"\(step)s\" instead of cron"
        case .minute: "for an interval that is not part of an hour write every = \"\(step)m\" instead of cron"
        case .hour: "for an interval that is not part of a day write every = \"\(step)h\" instead of cron"
        default: nil
        }
    }

    private func number(_ text: String) -> Int? {
        guard !text.isEmpty, text.utf8.count <= 9, text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(text)
    }

    private func value(_ text: String) throws(CronError) -> Int {
        if let number = number(text) {
            guard field.range.contains(number) else {
                let midnight = field == .hour && number == 24
                throw error("\(text) is out of range, allowed are \(field.allowed)", hint: midnight ? "midnight is hour 0" : nil)
            }
            return number
        }
        if let index = field.names.firstIndex(of: text) { return field.distinct.lowerBound + index }
        guard !text.isEmpty else { throw error("a value is missing, allowed are \(field.allowed)") }
        throw error("\"\(text)\" is not a value, allowed are \(field.allowed)", hint: nameHint(text))
    }

    private func nameHint(_ text: String) -> String? {
        if text.hasPrefix("*") || text.hasPrefix("?") { return "a step is written */5" }
        // MONDAY and SEPT mean a name that begins with the same three letters.
        if let name = field.names.first(where: { text.hasPrefix($0) }) { return "did you mean '\(name)'?" }
        return nearestName(text, among: field.names).map { "did you mean '\($0)'?" }
    }

    /// `L`, `LW`, `L-3`, `15W`.
    private mutating func readSpecialDay(_ item: String) throws(CronError) -> Bool {
        if item == "L" {
            days.fromLast |= 1
        } else if item == "LW" {
            days.lastWorkday = true
        } else if item.hasPrefix("L-") {
            guard let distance = number(String(item.dropFirst(2))), (1...30).contains(distance) else {
                throw error("\"\(item)\" is not a day before the last, allowed are L-1 to L-30")
            }
            days.fromLast |= 1 << UInt32(distance)
        } else if item.hasSuffix("W") {
            guard let day = number(String(item.dropLast())), (1...31).contains(day) else {
                throw error("\"\(item)\" is not a workday, allowed are 1W to 31W and LW")
            }
            days.nearest |= 1 << UInt32(day)
        } else {
            return false
        }
        return true
    }

    /// `FRIL`, `5L`, `MON#2`.
    private mutating func readSpecialWeekday(_ item: String) throws(CronError) -> Bool {
        if item == "L" {
            throw error(
                "L needs a weekday, as in FRIL (the last Friday)",
                hint: "Saturday is SAT, the last day of the month is L in the day-of-month field")
        }
        if item.contains("#") {
            let parts = item.split(separator: "#", omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw error("\"\(item)\" is not a weekday of a month, as MON#2 is") }
            let weekday = try value(String(parts[0])) % 7
            guard let n = number(String(parts[1])), (1...5).contains(n) else {
                throw error("a month has no \"\(item)\", allowed after # are 1-5", hint: "the last one is written \(parts[0])L")
            }
            days.nthWeekday |= 1 << UInt64(8 * weekday + n)
            return true
        }
        guard item.hasSuffix("L") else { return false }
        days.lastWeekday |= 1 << UInt8(try value(String(item.dropLast())) % 7)
        return true
    }

    private func error(_ problem: String, hint: String? = nil) -> CronError {
        CronError(field, found: text, String(problem.prefix(400)), hint: hint)
    }
}
