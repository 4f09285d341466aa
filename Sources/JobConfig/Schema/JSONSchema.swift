import JobCore
import JobJSON

/// The part of JSON Schema (draft 2020-12) that settings and payloads of plugins are
/// described with. A keyword outside it is refused when the schema is read: a schema whose
/// rules were silently not checked would be worse than none.
///
/// Checked: type, properties, required, additionalProperties (true or false), enum, const,
/// minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength, pattern (see
/// `Pattern`), items, minItems, maxItems, format (duration, instant, decimal). Kept for
/// people: title, description, default, examples, deprecated, $schema, $id, $comment.
/// Numbers are compared exactly, as decimal text.
public struct JSONSchema: Sendable {
    /// The schema as it was read.
    public let json: JSON
    let root: Node

    struct Node: Sendable {
        /// Empty: any.
        var types: [SchemaType] = []
        var properties: [String: Node] = [:]
        var required: [String] = []
        var allowsAdditional = true
        /// What further properties must be; one schema or none.
        var additional: [Node] = []
        /// nil: not limited to a list. `const` is a list of one.
        var allowed: [JSON]?
        var minimum: Bound?
        var maximum: Bound?
        var lengths: ClosedRange<Int> = 0...Int.max
        var counts: ClosedRange<Int> = 0...Int.max
        var pattern: Pattern?
        var format: Format?
        /// One schema or none (an array, since a struct cannot hold itself).
        var items: [Node] = []
    }

    struct Bound: Sendable {
        var literal: String
        var value: DecimalText
        var isExclusive: Bool
    }

    enum SchemaType: String, CaseIterable, Sendable {
        case null, boolean, integer, number, string, array, object
    }

    enum Format: String, CaseIterable, Sendable {
        /// As in the config: "300ms", "1h30m".
        case duration
        /// RFC 3339 with an offset.
        case instant
        /// A decimal number in a string, for amounts.
        case decimal
    }

    /// One rule that a value breaks.
    public struct Violation: Equatable, Sendable, CustomStringConvertible {
        public var path: [PathPart]
        public var message: String
        public var hint: String?
        /// The fault is the name of the last part, not its value.
        public var isAboutName = false
        public var description: String {
            let place = path.isEmpty ? "" : "'\(JSONSchema.text(of: path))' "
            return place + message + (hint.map { " (\($0))" } ?? "")
        }
    }

    public enum PathPart: Hashable, Sendable {
        case member(String)
        case element(Int)
    }

    /// A schema that cannot be honoured.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public var path: [PathPart]
        public var message: String
        public var hint: String?
        public var description: String {
            let place = path.isEmpty ? "the schema" : "the schema at '\(JSONSchema.text(of: path))'"
            return "\(place): \(message)" + (hint.map { " (\($0))" } ?? "")
        }
    }

    public init(json: JSON) throws(Fault) {
        self.json = json
        root = try SchemaReader().node(json, path: [])
    }

    /// Parses and reads a schema of at most 256 KiB.
    public init(text: String) throws(Fault) {
        let json: JSON
        do {
            json = try JSON(parsing: text, limits: .init(bytes: 256 << 10))
        } catch {
            throw Fault(path: [], message: error.description)
        }
        try self.init(json: json)
    }

    /// `markets[2].name`
    public static func text(of path: [PathPart]) -> String {
        var out = ""
        for part in path {
            switch part {
            case .member(let name): out += (out.isEmpty ? "" : ".") + name
            case .element(let index): out += "[\(index)]"
            }
        }
        return out
    }
}
