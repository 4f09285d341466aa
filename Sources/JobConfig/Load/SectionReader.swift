import JobCore
import NearestName

/// Reads one table by its list of keys. What does not fit goes to `faults`, and the reading
/// function returns nil, as for a key that is not there: the caller keeps its default.
struct SectionReader {
    let table: ConfigTable
    let faults: Faults

    /// `title` is how messages call the table: "[jobs.candles]", "'retry'". `own` is the part
    /// of `table` whose names are to be checked; by default all of it.
    init(_ table: ConfigTable, title: String, keys: [ConfigKey], faults: Faults, own: ConfigTable? = nil) {
        self.table = table
        self.faults = faults
        let own = own ?? table
        func isKnown(_ name: String) -> Bool { keys.contains { $0.name == name } }
        // Nearly always, and with thousands of jobs it counts.
        if own.entries.keys.allSatisfy(isKnown) { return }
        for (name, entry) in own.sorted where !isKnown(name) {
            faults.add(entry.keyPosition, "unknown key '\(shownName(name))' in \(title)", hint: nameHint(name, among: keys.map(\.name)))
        }
    }

    func value(_ key: ConfigKey) -> ConfigValue? { table[key.name] }

    func has(_ key: ConfigKey) -> Bool { table[key.name] != nil }

    /// "'timeout' must be a duration, 1ms … 366d, or \"none\", found the integer 30".
    func refuse(_ key: ConfigKey, _ value: ConfigValue, hint: String? = nil) {
        faults.add(value.position, "'\(key.name)' must be \(key.expectation), found \(value.found)", hint: hint)
    }

    func boolean(_ key: ConfigKey) -> Bool? {
        guard let value = value(key) else { return nil }
        if case .boolean(let flag) = value.content { return flag }
        refuse(key, value)
        return nil
    }

    func integer(_ key: ConfigKey) -> Int? {
        guard let value = value(key) else { return nil }
        if case .integer(let number) = value.content, case .integer(let range) = key.kind, let number = Int(exactly: number),
            range.contains(number)
        {
            return number
        }
        refuse(key, value)
        return nil
    }

    func number(_ key: ConfigKey) -> Double? {
        guard let value = value(key) else { return nil }
        let number: Double? =
            switch value.content {
            case .integer(let whole): Double(whole)
            case .float(let literal): Double(literal)
            default: nil
            }
        if let number, case .number(let range) = key.kind, range.contains(number) { return number }
        refuse(key, value)
        return nil
    }

    enum Limit { case unlimited, duration(Duration) }

    /// For keys that allow the word "none".
    func limit(_ key: ConfigKey) -> Limit? {
        guard let value = value(key) else { return nil }
        if case .string("none") = value.content, case .duration(_, orNone: true) = key.kind { return .unlimited }
        return duration(key).map { .duration($0) }
    }

    func duration(_ key: ConfigKey) -> Duration? {
        value(key).flatMap { duration(key, $0) }
    }

    func duration(_ key: ConfigKey, _ value: ConfigValue) -> Duration? {
        var hint: String?
        switch value.content {
        case .string(let text):
            let parsed = parseDuration(text)
            if let parsed, case .duration(let range, _) = key.kind, range.contains(parsed) { return parsed }
            hint = parsed == nil ? durationUnitsHint : nil
        case .integer(let number): hint = "write the unit: \"\(number)s\""
        default: hint = durationUnitsHint
        }
        refuse(key, value, hint: hint)
        return nil
    }

    func size(_ key: ConfigKey) -> UInt64? {
        guard let value = value(key) else { return nil }
        var hint: String?
        switch value.content {
        case .string(let text):
            let parsed = parseSize(text)
            if let parsed, case .size(let range) = key.kind, range.contains(parsed) { return parsed }
            hint = parsed == nil ? sizeUnitsHint : nil
        case .integer: hint = "write the unit: \"256MB\""
        default: hint = sizeUnitsHint
        }
        refuse(key, value, hint: hint)
        return nil
    }

    func string(_ key: ConfigKey) -> String? {
        guard let value = value(key) else { return nil }
        if case .string(let text) = value.content, case .string(let most) = key.kind, !text.isEmpty, text.unicodeScalars.count <= most {
            return text
        }
        refuse(key, value)
        return nil
    }

    /// A string, or a finding that the table lacks it.
    func required(_ key: ConfigKey, title: String) -> String? {
        if has(key) { return string(key) }
        faults.add(table.position, "\(title) lacks '\(key.name)'", hint: nearMiss(key))
        return nil
    }

    /// The required key may be there, misspelt.
    private func nearMiss(_ key: ConfigKey) -> String? {
        guard let found = nearestName(key.name, among: table.sorted.map(\.key).filter { $0 != key.name }) else { return nil }
        return "found '\(found)'"
    }

    func choice<Word: RawRepresentable & CaseIterable>(_ key: ConfigKey, _: Word.Type = Word.self) -> Word? where Word.RawValue == String {
        word(key).flatMap(Word.init(rawValue:))
    }

    func word(_ key: ConfigKey) -> String? {
        guard let value = value(key) else { return nil }
        guard case .choice(let words) = key.kind else { return nil }
        guard case .string(let text) = value.content else {
            refuse(key, value)
            return nil
        }
        if words.contains(text) { return text }
        refuse(key, value, hint: nearestName(text, among: words).map { "did you mean \"\($0)\"?" })
        return nil
    }

    /// The strings with their places.
    func strings(_ key: ConfigKey) -> [(text: String, position: SourcePosition)]? {
        guard let value = value(key) else { return nil }
        let elements: [ConfigValue]
        switch value.content {
        case .array(let all): elements = all
        case .string: elements = [value]
        default:
            refuse(key, value)
            return nil
        }
        guard case .strings(let most) = key.kind, elements.count <= most else {
            faults.add(value.position, "'\(key.name)' may have at most \(key.expectation), found \(elements.count)")
            return nil
        }
        var out: [(text: String, position: SourcePosition)] = []
        for element in elements {
            guard case .string(let text) = element.content, !text.isEmpty else {
                faults.add(element.position, "'\(key.name)' must hold strings that are not empty, found \(element.found)")
                continue
            }
            out.append((text, element.position))
        }
        return out
    }

    func subtable(_ key: ConfigKey) -> ConfigTable? {
        guard let value = value(key) else { return nil }
        if case .table(let table) = value.content { return table }
        refuse(key, value)
        return nil
    }

    /// A reader of a table inside this one.
    func section(_ key: ConfigKey, keys: [ConfigKey]) -> SectionReader? {
        subtable(key).map { SectionReader($0, title: "'\(key.name)'", keys: keys, faults: faults) }
    }

    /// Places of the values of this table, and of tables in it as "retry.initial".
    var places: [String: SourcePosition] {
        var out: [String: SourcePosition] = [:]
        for (name, entry) in table.entries {
            out[name] = entry.value.position
            guard name != "settings", case .table(let inner) = entry.value.content else { continue }
            for (innerName, innerEntry) in inner.entries { out[name + "." + innerName] = innerEntry.value.position }
        }
        return out
    }
}

/// A name for a message: what was pasted as a key may be a page long.
func shownName(_ name: String) -> String {
    name.unicodeScalars.count <= 80 ? name : String(name.prefix(77)) + "…"
}

/// What a label may be.
let labelHint = "allowed: up to 64 letters, digits, '-', '_' and '.', the first a letter or digit"

/// Names of jobs, plugins and calendars stand in paths, addresses and commands.
func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, text.utf8.count <= 64 else { return false }
    func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
    return isLetterOrDigit(first)
        && text.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") }
}

extension ConfigKey {
    /// `type` as it stands in a sentence after "must be".
    var expectation: String {
        switch kind {
        case .boolean, .choice: type
        case .integer: "an " + type
        case .number, .duration, .size, .string, .table: "a " + type
        case .strings: type.hasPrefix("array") ? "an " + type : type
        case .special: "a " + type
        }
    }
}
