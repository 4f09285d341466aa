import JobCore
import JobJSON

/// A value of a config file with the place where it stands. Two values are equal when they
/// mean the same, wherever they stand: a moved line is no change.
public struct ConfigValue: Equatable, Sendable {
    public indirect enum Content: Equatable, Sendable {
        case string(String)
        case integer(Int64)
        /// The number as a JSON literal, digit for digit as the source writes it (without
        /// `_` and a leading `+`); or "inf", "-inf", "nan".
        case float(String)
        case boolean(Bool)
        case date(ConfigDate)
        case array([ConfigValue])
        case table(ConfigTable)
    }

    public var content: Content
    public var position: SourcePosition
    /// Came from a `file:` reference or, within settings, from the environment: never printed.
    public var isSecret: Bool
    /// What the file says, where the value is another: "file:/run/secrets/x", "${HOME}/data".
    public var written: String?

    public init(_ content: Content, at position: SourcePosition, isSecret: Bool = false, written: String? = nil) {
        self.content = content
        self.position = position
        self.isSecret = isSecret
        self.written = written
    }

    public static func == (a: ConfigValue, b: ConfigValue) -> Bool { a.content == b.content }
}

/// A date, a time, or both, in the form of RFC 3339.
public struct ConfigDate: Equatable, Sendable {
    public enum Kind: Equatable, Sendable { case instant, localDateTime, localDate, localTime }
    public var kind: Kind
    public var text: String
    public init(kind: Kind, text: String) {
        self.kind = kind
        self.text = text
    }
}

/// A table: names to values, each with its place. Equality ignores order and places.
public struct ConfigTable: Equatable, Sendable {
    public struct Entry: Equatable, Sendable {
        public var keyPosition: SourcePosition
        public var value: ConfigValue
        public init(keyPosition: SourcePosition, value: ConfigValue) {
            self.keyPosition = keyPosition
            self.value = value
        }
        public static func == (a: Entry, b: Entry) -> Bool { a.value == b.value }
    }

    public var entries: [String: Entry]
    /// Where the table begins; nil: it is in no file.
    public var position: SourcePosition?

    public init(_ entries: [String: Entry] = [:], position: SourcePosition? = nil) {
        self.entries = entries
        self.position = position
    }

    public static func == (a: ConfigTable, b: ConfigTable) -> Bool { a.entries == b.entries }

    public var isEmpty: Bool { entries.isEmpty }
    public subscript(key: String) -> ConfigValue? { entries[key]?.value }
    public func keyPosition(_ key: String) -> SourcePosition? { entries[key]?.keyPosition }

    /// In the order of the source.
    public var sorted: [(key: String, entry: Entry)] {
        entries.map { (key: $0.key, entry: $0.value) }.sorted { a, b in
            let (p, q) = (a.entry.keyPosition, b.entry.keyPosition)
            return (p.file, p.line, p.column, a.key) < (q.file, q.line, q.column, b.key)
        }
    }

    /// This table with `other` laid over it: tables are merged key by key, everything else
    /// of `other` replaces what is here.
    public func overlaid(by other: ConfigTable) -> ConfigTable {
        var out = self
        out.position = other.position ?? position
        for (key, entry) in other.entries {
            if case .table(let mine)? = self[key]?.content, case .table(let theirs) = entry.value.content {
                var merged = entry
                merged.value.content = .table(mine.overlaid(by: theirs))
                out.entries[key] = merged
            } else {
                out.entries[key] = entry
            }
        }
        return out
    }
}

// MARK: JSON

extension ConfigTable {
    /// The whole table, secrets in clear: for plugins, not for people.
    public var json: JSON { .object(JSONObject(entries.mapValues { $0.value.json })) }
    /// Canonical text of `json`: names sorted, integers as they are, floats digit for digit,
    /// dates as RFC 3339 strings.
    public var canonicalJSON: String { json.canonicalText }
    /// For people: instead of a secret there is what the file says.
    public var maskedJSON: String { maskedValue.canonicalText }

    fileprivate var maskedValue: JSON { .object(JSONObject(entries.mapValues { $0.value.maskedJSON })) }
}

extension ConfigValue {
    public var json: JSON {
        switch content {
        case .string(let text): .string(text)
        case .integer(let value): .integer(value)
        // JSON has no infinity; the reader refuses it in settings, and the word is the least wrong.
        case .float(let literal): DecimalText(literal) == nil ? .string(literal) : .number(literal)
        case .boolean(let value): .bool(value)
        case .date(let date): .string(date.text)
        case .array(let elements): .array(elements.map(\.json))
        case .table(let table): table.json
        }
    }

    /// For people: instead of a secret there is what the file says.
    public var maskedJSON: JSON {
        if isSecret { return .string(written ?? "***") }
        return switch content {
        case .array(let elements): .array(elements.map(\.maskedJSON))
        case .table(let table): table.maskedValue
        default: json
        }
    }
}

// Interpolating a config into a message or a log must not show a secret either.
extension ConfigValue: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { maskedJSON.canonicalText }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["value": description, "position": position]) }
}

extension ConfigTable: CustomStringConvertible, CustomDebugStringConvertible {
    public var description: String { maskedJSON }
    public var debugDescription: String { description }
}

// MARK: messages

extension ConfigValue {
    /// "the integer 30", "the string \"abc\"": what an error says was found.
    var found: String {
        if isSecret { return secretText }
        switch content {
        case .string(let text):
            let shown = text.unicodeScalars.count <= 80 ? text : String(text.prefix(77)) + "…"
            return "the string " + JSON.string(shown).text + (written.map { " (written \(JSON.string($0).text))" } ?? "")
        case .integer(let value): return "the integer \(value)"
        case .float(let literal): return "the number \(literal)"
        case .boolean(let value): return "\(value)"
        case .date(let date):
            switch date.kind {
            case .instant, .localDateTime: return "the date-time \(date.text)"
            case .localDate: return "the date \(date.text)"
            case .localTime: return "the time \(date.text)"
            }
        case .array: return "an array"
        case .table: return "a table"
        }
    }

    private var secretText: String { "a secret" + (written.map { " (written \(JSON.string($0).text))" } ?? "") }

    /// The place of what a schema's path leads to; of the last part's name if asked. When the
    /// path leads nowhere (a missing member), the place of the last table on it.
    func position(of path: [JSONSchema.PathPart], ofName: Bool) -> SourcePosition? {
        var here = self
        var place: SourcePosition = position
        for part in path {
            switch (part, here.content) {
            case (.member(let name), .table(let table)):
                guard let entry = table.entries[name] else { return place }
                place = ofName ? entry.keyPosition : entry.value.position
                here = entry.value
            case (.element(let index), .array(let elements)) where elements.indices.contains(index):
                here = elements[index]
                place = here.position
            default: return place
            }
        }
        return place
    }

    /// What to show instead of the value that a path leads to; nil: it is no secret.
    func secret(at path: [JSONSchema.PathPart]) -> String? {
        var here = self
        for part in path {
            if here.isSecret { break }
            switch (part, here.content) {
            case (.member(let name), .table(let table)):
                guard let value = table[name] else { return nil }
                here = value
            case (.element(let index), .array(let elements)) where elements.indices.contains(index): here = elements[index]
            default: return nil
            }
        }
        return here.isSecret ? here.secretText : nil
    }
}
