/// How Codable types and JSON correspond. What is not said otherwise: names as in Swift, nil
/// properties left out, each type in the form that its own code gives it.
package protocol JSONRules: Sendable {
    /// The name of a property's member.
    func name(of key: any CodingKey) -> String
    /// true: a nil property is an explicit `null`.
    var writesNil: Bool { get }
    /// true: `1e3` and `5.0` are integers too.
    var takesWholeDecimals: Bool { get }

    /// Appends that name with its quotes.
    func write(nameOf key: some CodingKey, to text: inout [UInt8])
    /// Appends the form of a type that has one of its own here; false: as the type's own code says. Numbers, strings and
    /// booleans that are properties are not asked for.
    func write(_ value: some Encodable, to text: inout [UInt8]) -> Bool
    func decoded(_ type: any Decodable.Type, from decoder: JSONTreeDecoder) throws -> (any Decodable)?

    /// Called before an object's members are read; throws for what may not be there.
    func check(_ object: JSONObject, keys: any CodingKey.Type, at decoder: JSONTreeDecoder) throws
    /// What is thrown where `decoder`'s value does not fit.
    func error(_ misfit: JSONMisfit, at decoder: JSONTreeDecoder) -> any Error
    /// What is thrown where a type's own code refuses `decoder`'s value.
    func error(_ error: DecodingError, of type: any Decodable.Type, at decoder: JSONTreeDecoder) -> any Error
}

/// Why a value cannot be decoded.
package enum JSONMisfit: Sendable {
    /// With what it has to be: "a string".
    case wrongType(String)
    /// No integer, or none within these bounds.
    case noInteger(min: String, max: String)
    /// More than binary floating point can say.
    case outOfRange
    case missing(any CodingKey)
    case endOfArray(index: Int)
}

extension JSONRules {
    package func name(of key: any CodingKey) -> String { key.stringValue }
    package var writesNil: Bool { false }
    package var takesWholeDecimals: Bool { false }
    package func write(nameOf key: some CodingKey, to text: inout [UInt8]) { JSONText.append(name(of: key), to: &text) }
    package func write(_ value: some Encodable, to text: inout [UInt8]) -> Bool { false }
    package func decoded(_ type: any Decodable.Type, from decoder: JSONTreeDecoder) throws -> (any Decodable)? { nil }
    package func check(_ object: JSONObject, keys: any CodingKey.Type, at decoder: JSONTreeDecoder) throws {}
    package func error(_ error: DecodingError, of type: any Decodable.Type, at decoder: JSONTreeDecoder) -> any Error { error }

    /// "payload.items[2]"; "" is the whole text.
    package func text(of path: [any CodingKey]) -> String {
        path.reduce(into: "") { text, key in
            if let index = key.intValue, key is JSONIndexKey {
                text += "[\(index)]"
            } else {
                text += (text.isEmpty ? "" : ".") + name(of: key)
            }
        }
    }
}

/// The place of an element in the path to it; without an index that of a superclass's values.
package struct JSONIndexKey: CodingKey {
    package let index: Int?
    package init(index: Int?) { self.index = index }
    package init?(intValue: Int) { index = intValue }
    package init?(stringValue: String) { nil }
    package var intValue: Int? { index }
    package var stringValue: String { index.map { "\($0)" } ?? "super" }
}

/// A value passes unchanged through our own coders. Any other coder would lose digits of its
/// numbers and is refused.
extension JSON: Codable {
    public init(from decoder: any Decoder) throws {
        guard let tree = decoder as? JSONTreeDecoder else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "JSON is decoded by its own decoder only"))
        }
        self = tree.value
    }

    public func encode(to encoder: any Encoder) throws {
        guard let encoder = encoder as? JSONTextEncoder else {
            throw EncodingError.invalidValue(
                self, .init(codingPath: encoder.codingPath, debugDescription: "JSON is encoded by its own encoder only"))
        }
        try encoder.encode(self)
    }

    /// Names as in Swift, nil properties left out.
    /// - Throws: `EncodingError` for a number that JSON cannot say, and what the types throw.
    public init(encoding value: some Encodable) throws { try self.init(encoding: value, rules: PlainRules()) }

    /// Strict about types: no string becomes a number, no fraction an integer. `1e3` and `5.0`
    /// are integers too.
    /// - Throws: `DecodingError` with the place and what was found, and what the types throw.
    public func decode<T: Decodable>(_ type: T.Type = T.self) throws -> T { try decode(type, rules: PlainRules()) }

    /// - Throws: `EncodingError` for a number that JSON cannot say, and what the types throw.
    package init(encoding value: some Encodable, rules: any JSONRules) throws {
        let text = try JSONTextEncoder.bytes(of: value, rules: rules)
        do {
            // Of members of one name the last counts.
            self = try JSON(parsing: text, limits: Limits(bytes: .max, depth: 128, allowsDuplicateKeys: true, allowsNUL: true))
        } catch {
            throw EncodingError.invalidValue(value, .init(codingPath: [], debugDescription: error.description))
        }
    }

    /// Compact UTF-8, members in the order in which types encode them; without a tree of values, where only the text is
    /// wanted.
    /// - Throws: `EncodingError` for a number that JSON cannot say, and what the types throw.
    package static func bytes(encoding value: some Encodable, rules: any JSONRules) throws -> [UInt8] {
        try JSONTextEncoder.bytes(of: value, rules: rules)
    }

    /// - Throws: what the rules make of a misfit, and what the types throw.
    package func decode<T: Decodable>(_ type: T.Type = T.self, rules: any JSONRules) throws -> T {
        try JSONTreeDecoder(self, rules: rules).decode(type)
    }
}
