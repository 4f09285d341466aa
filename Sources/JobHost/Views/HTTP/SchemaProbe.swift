import JobCore
import JobJSON

/// The JSON Schema of a type that is decoded, from the decoding itself: a decoder that gives every
/// field something and notes what it was asked for. So the description of the API cannot differ
/// from its types.
enum SchemaProbe {
    /// `isBody`: what is optional may be left out; an answer has it as `null`.
    static func schema(of type: any Decodable.Type, isBody: Bool = false) -> JSON {
        if let known = known(type) { return known }
        let probe = ProbeDecoder(isBody: isBody)
        _ = try? type.init(from: probe)
        return probe.shape.schema
    }

    private static func known(_ type: any Decodable.Type) -> JSON? {
        if type == Instant.self { return .object(["type": "string", "format": "date-time"]) }
        if type == JSON.self { return .object([:]) }
        if type == [String: Int64].self { return .object(["type": "object", "additionalProperties": .object(["type": "integer"])]) }
        if type == String.self { return .object(["type": "string"]) }
        if type == Bool.self { return .object(["type": "boolean"]) }
        if type == Double.self || type == Float.self { return .object(["type": "number"]) }
        let signed: [any Decodable.Type] = [Int.self, Int64.self, Int32.self, Int16.self, Int8.self]
        if signed.contains(where: { $0 == type }) { return .object(["type": "integer"]) }
        let unsigned: [any Decodable.Type] = [UInt.self, UInt64.self, UInt32.self, UInt16.self, UInt8.self]
        if unsigned.contains(where: { $0 == type }) { return .object(["type": "integer", "minimum": .integer(0)]) }
        guard let type = type as? any CaseIterable.Type, let words = words(type) else { return nil }
        return .object(["type": "string", "enum": .array(words.map { .string($0) })])
    }

    private static func words<E: CaseIterable>(_ type: E.Type) -> [String]? {
        let words = type.allCases.compactMap { ($0 as? any RawRepresentable)?.rawValue as? String }
        return words.isEmpty ? nil : words
    }

    /// Something of the type, so that decoding goes on.
    static func dummy<T: Decodable>(_ type: T.Type, isBody: Bool) throws -> T {
        let value: Any? =
            switch type {
            case is Instant.Type: Instant.epoch
            case is JSON.Type: JSON.null
            case is [String: Int64].Type: [String: Int64]()
            case is String.Type: ""
            case is Bool.Type: false
            case is Double.Type: 0.0
            default:
                if let type = type as? any FixedWidthInteger.Type { zero(type) }
                else if let type = type as? any CaseIterable.Type { first(type) }
                else { nil }
            }
        if let value = value as? T { return value }
        return try type.init(from: ProbeDecoder(isBody: isBody))
    }

    private static func zero<N: FixedWidthInteger>(_ type: N.Type) -> Any { N.zero }
    private static func first<E: CaseIterable>(_ type: E.Type) -> Any? { type.allCases.first }
}

/// What a decoding has asked for so far.
private final class Shape {
    enum Kind { case unknown, object, array(JSON) }
    var kind = Kind.unknown
    var members: [(String, JSON)] = []
    var required: [JSON] = []

    var schema: JSON {
        switch kind {
        case .unknown: .object([:])
        case .array(let items): .object(["type": "array", "items": items])
        case .object:
            .object([
                "type": "object", "properties": .object(JSONObject(members)), "required": .array(required),
                "additionalProperties": .bool(false),
            ])
        }
    }
}

private struct ProbeDecoder: Decoder {
    let isBody: Bool
    let shape = Shape()
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    init(isBody: Bool) { self.isBody = isBody }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        shape.kind = .object
        return KeyedDecodingContainer(KeyedProbe<Key>(shape: shape, isBody: isBody))
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { UnkeyedProbe(shape: shape, isBody: isBody) }
    func singleValueContainer() throws -> any SingleValueDecodingContainer { throw ProbeFault.notSupported }
}

private enum ProbeFault: Error { case notSupported }

private struct KeyedProbe<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let shape: Shape
    let isBody: Bool
    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { [] }

    func contains(_ key: Key) -> Bool { true }
    func decodeNil(forKey key: Key) throws -> Bool { false }

    private func note(_ type: any Decodable.Type, _ key: Key, isOptional: Bool) {
        let name = APIJSON.name(of: key)
        var schema = SchemaProbe.schema(of: type, isBody: isBody)
        if isOptional, !isBody, case .object(var members) = schema, let kind = members["type"] {
            members["type"] = .array([kind, "null"])
            if case .array(let words)? = members["enum"] { members["enum"] = .array(words + [.null]) }
            schema = .object(members)
        }
        shape.members.append((name, schema))
        if !(isOptional && isBody) { shape.required.append(.string(name)) }
    }

    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        note(type, key, isOptional: false)
        return try SchemaProbe.dummy(type, isBody: isBody)
    }
    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
        note(type, key, isOptional: true)
        return nil
    }

    // Where the protocol has an implementation of its own.
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { note(type, key, isOptional: true); return nil }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { note(type, key, isOptional: true); return nil }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { note(type, key, isOptional: true); return nil }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { note(type, key, isOptional: true); return nil }
    func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { note(type, key, isOptional: true); return nil }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { note(type, key, isOptional: true); return nil }
    func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { note(type, key, isOptional: true); return nil }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws -> KeyedDecodingContainer<Nested> {
        throw ProbeFault.notSupported
    }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { throw ProbeFault.notSupported }
    func superDecoder() throws -> any Decoder { throw ProbeFault.notSupported }
    func superDecoder(forKey key: Key) throws -> any Decoder { throw ProbeFault.notSupported }
}

/// An array of one element.
private struct UnkeyedProbe: UnkeyedDecodingContainer {
    let shape: Shape
    let isBody: Bool
    var codingPath: [any CodingKey] { [] }
    var count: Int? { 1 }
    private(set) var currentIndex = 0
    var isAtEnd: Bool { currentIndex > 0 }

    init(shape: Shape, isBody: Bool) {
        self.shape = shape
        self.isBody = isBody
    }

    mutating func decodeNil() throws -> Bool { false }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
        currentIndex += 1
        shape.kind = .array(SchemaProbe.schema(of: type, isBody: isBody))
        return try SchemaProbe.dummy(type, isBody: isBody)
    }
    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
        throw ProbeFault.notSupported
    }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { throw ProbeFault.notSupported }
    mutating func superDecoder() throws -> any Decoder { throw ProbeFault.notSupported }
}
