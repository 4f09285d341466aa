/// A JSON value whose numbers are still the text that was read: `0.10` stays `0.10`, and no
/// amount of money passes through a binary float.
public enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    /// The literal, valid by RFC 8259 §6.
    case number(String)
    case string(String)
    case array([JSON])
    case object(JSONObject)

    public static func integer(_ value: some FixedWidthInteger) -> JSON { .number(String(value)) }

    /// `null` for what JSON cannot say: NaN and infinities.
    public init(_ value: Double) {
        self = value.isFinite ? .number(JSON.literal(value)) : .null
    }

    /// The shortest digits that give the value back; of a finite one.
    static func literal(_ value: some BinaryFloatingPoint & CustomStringConvertible) -> String {
        let text = value.description
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    /// The member of an object; nil for a missing member and for what is not an object.
    public subscript(key: String) -> JSON? { objectValue?[key] }

    public var objectValue: JSONObject? {
        guard case .object(let members) = self else { return nil }
        return members
    }

    public var stringValue: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    public var boolValue: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    /// A number that is written as an integer and fits.
    public var int64Value: Int64? {
        guard case .number(let literal) = self else { return nil }
        return Int64(literal)
    }

    public var arrayValue: [JSON]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// What JSON calls this: "null", "boolean", "number", "string", "array", "object".
    public var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    /// Equality as JSON Schema has it (Core §4.2.2): numbers by value, so 1 is 1.0.
    public func isSame(as other: JSON) -> Bool {
        switch (self, other) {
        case (.number(let a), .number(let b)):
            a == b || DecimalText(a).map { $0 == DecimalText(b) } ?? false
        case (.array(let a), .array(let b)):
            a.count == b.count && zip(a, b).allSatisfy { $0.isSame(as: $1) }
        case (.object(let a), .object(let b)):
            a.count == b.count && a.allSatisfy { key, value in b[key].map { value.isSame(as: $0) } ?? false }
        default:
            self == other
        }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension JSON {
    /// Compact UTF-8: no spaces, members in their order, numbers as they were read.
    public var bytes: [UInt8] { bytes(sorted: false) }

    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// As `bytes`, with members sorted by the bytes of their names: equal values give equal
    /// bytes.
    public var canonicalBytes: [UInt8] { bytes(sorted: true) }

    public var canonicalText: String { String(decoding: canonicalBytes, as: UTF8.self) }

    private func bytes(sorted: Bool) -> [UInt8] {
        var out: [UInt8] = []
        write(to: &out, sorted: sorted)
        return out
    }

    func write(to out: inout [UInt8], sorted: Bool = false) {
        switch self {
        case .null: out.append(contentsOf: "null".utf8)
        case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
        case .number(let literal): out.append(contentsOf: literal.utf8)
        case .string(let text): JSONText.append(text, to: &out)
        case .array(let elements):
            out.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                element.write(to: &out, sorted: sorted)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            out.append(UInt8(ascii: "{"))
            let members =
                sorted ? object.members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } : object.members
            for (index, member) in members.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                JSONText.append(member.key, to: &out)
                out.append(UInt8(ascii: ":"))
                member.value.write(to: &out, sorted: sorted)
            }
            out.append(UInt8(ascii: "}"))
        }
    }
}
