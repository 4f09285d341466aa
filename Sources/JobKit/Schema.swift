import JobJSON

/// Says what types alone cannot say of a setting.
public struct SettingsField: Sendable {
    /// The key; of a nested one the path: "limits.max".
    public var name: String
    public var description: String
    public var minimum: JSON?
    public var maximum: JSON?
    /// The only values allowed; empty: any.
    public var allowed: [JSON]
    /// JSON Schema's `format`, for readers: "uri", "date-time".
    public var format: String

    public init(_ name: String, _ description: String = "", allowed: [JSON] = [], format: String = "") {
        self.name = name
        self.description = description
        self.allowed = allowed
        self.format = format
    }
    public init(_ name: String, _ description: String = "", range: ClosedRange<Int>) {
        self.init(name, description)
        minimum = .number(String(range.lowerBound))
        maximum = .number(String(range.upperBound))
    }
    public init(_ name: String, _ description: String = "", range: PartialRangeFrom<Int>) {
        self.init(name, description)
        minimum = .number(String(range.lowerBound))
    }
    public init(_ name: String, _ description: String = "", range: ClosedRange<Double>) {
        self.init(name, description)
        minimum = JSON(range.lowerBound)
        maximum = JSON(range.upperBound)
    }
}

/// A type whose JSON is not what its stored properties suggest: it says itself what it looks
/// like ("type", "format", "pattern", …).
public protocol SchemaDescribed {
    static var schema: JSONObject { get }
    /// A value that decodes. Without one a required property of this type ends what can be
    /// told of the type that has it.
    static var example: JSON { get }
}
extension SchemaDescribed {
    public static var example: JSON { .null }
}

/// JSON Schemas derived from Swift types.
public enum JSONSchema {
    /// Of a payload: what is not optional is required.
    public static func text<T: Decodable>(of type: T.Type) -> String {
        JSON.object(SchemaNode.of(type, value: nil, depth: 0).schema(isRoot: true)).text
    }
    /// Of settings: nothing is required, the defaults of `init()` are shown.
    public static func text<S: JobSettings>(ofSettings type: S.Type) -> String {
        JSON.object(SettingsReader<S>().node.schema(isRoot: true)).text
    }
}

/// What is known of one value's type. A tree of references, because decoding fills it in
/// from the outside in.
final class SchemaNode {
    indirect enum Kind {
        case any
        case string, boolean, number
        case integer(minimum: JSON?, maximum: JSON?)
        case choice([JSON])
        case array(SchemaNode)
        /// An object with free keys.
        case map(SchemaNode)
        case object([Property])
        case described(JSONObject)
    }
    struct Property {
        /// As one writes it.
        var key: String
        /// As the type's coding knows it.
        var coded: String
        var node: SchemaNode
        var required: Bool
    }

    var kind: Kind = .any
    var defaultValue: JSON?
    var field: SettingsField?

    func property(_ key: String) -> SchemaNode? {
        guard case .object(let properties) = kind else { return nil }
        return properties.first { $0.key == key }?.node
    }

    func schema(isRoot: Bool = false) -> JSONObject {
        var schema = typeSchema(requiring: defaultValue == nil)
        if let field { annotate(&schema, field) }
        if !isRoot, let defaultValue, defaultValue != .null { schema["default"] = shown(defaultValue) }
        return schema
    }

    private func typeSchema(requiring: Bool) -> JSONObject {
        switch kind {
        case .any: return JSONObject()
        case .string: return JSONObject([("type", "string")])
        case .boolean: return JSONObject([("type", "boolean")])
        case .number: return JSONObject([("type", "number")])
        case .integer(let minimum, let maximum):
            var schema = JSONObject([("type", "integer")])
            schema["minimum"] = minimum
            schema["maximum"] = maximum
            return schema
        case .choice(let values): return JSONObject([("enum", .array(values))])
        case .array(let element):
            return JSONObject([("type", "array"), ("items", .object(element.schema()))])
        case .map(let element):
            return JSONObject([("type", "object"), ("additionalProperties", .object(element.schema()))])
        case .described(let schema): return schema
        case .object(let properties):
            var schema = JSONObject([("type", "object"), ("additionalProperties", false)])
            schema["properties"] = .object(JSONObject(properties.map { ($0.key, .object($0.node.schema())) }))
            let required = properties.filter { $0.required && requiring }.map { JSON.string($0.key) }
            if !required.isEmpty { schema["required"] = .array(required) }
            return schema
        }
    }

    private func annotate(_ schema: inout JSONObject, _ field: SettingsField) {
        if !field.description.isEmpty { schema["description"] = .string(field.description) }
        if let minimum = field.minimum { schema["minimum"] = minimum }
        if let maximum = field.maximum { schema["maximum"] = maximum }
        if !field.allowed.isEmpty { schema["enum"] = .array(field.allowed) }
        if !field.format.isEmpty { schema["format"] = .string(field.format) }
    }

    /// - Parameter depth: recursive types end at 8 levels, as "anything".
    static func of<T: Decodable>(_ type: T.Type, value: JSON?, depth: Int) -> SchemaNode {
        let node = SchemaNode()
        node.defaultValue = value
        guard depth < 8 else { return node }
        if let described = type as? any SchemaDescribed.Type {
            node.kind = .described(described.schema)
        } else if let listed = type as? any (CaseIterable & Encodable).Type, let values = choices(listed) {
            node.kind = .choice(values)
        } else if let sequence = type as? any ElementCoding.Type {
            let element = sequence.elementNode(depth: depth + 1)
            node.kind = sequence.isMap ? .map(element) : .array(element)
        } else if type != JSON.self {
            // Decoding asks for every property in turn and thereby tells its type. An error
            // (a dummy that some type refuses) leaves what is known so far.
            _ = try? T(from: SchemaDecoder(node: node, value: value, depth: depth))
        }
        return node
    }

    private static func choices<C: CaseIterable & Encodable>(_ type: C.Type) -> [JSON]? {
        try? type.allCases.map { try JSON(encoding: $0) }
    }
}

/// Containers whose element type is known without a value.
private protocol ElementCoding {
    static var isMap: Bool { get }
    static func elementNode(depth: Int) -> SchemaNode
}
extension Array: ElementCoding where Element: Decodable {
    fileprivate static var isMap: Bool { false }
    fileprivate static func elementNode(depth: Int) -> SchemaNode { .of(Element.self, value: nil, depth: depth) }
}
extension Set: ElementCoding where Element: Decodable {
    fileprivate static var isMap: Bool { false }
    fileprivate static func elementNode(depth: Int) -> SchemaNode { .of(Element.self, value: nil, depth: depth) }
}
extension Dictionary: ElementCoding where Key == String, Value: Decodable {
    fileprivate static var isMap: Bool { true }
    fileprivate static func elementNode(depth: Int) -> SchemaNode { .of(Value.self, value: nil, depth: depth) }
}
extension Optional: ElementCoding where Wrapped: ElementCoding {
    fileprivate static var isMap: Bool { Wrapped.isMap }
    fileprivate static func elementNode(depth: Int) -> SchemaNode { Wrapped.elementNode(depth: depth) }
}

/// Answers with the default's values (or with dummies where there is none) and records what
/// it is asked for.
private struct SchemaDecoder: Decoder {
    let node: SchemaNode
    var value: JSON?
    var depth: Int
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
        if case .object = node.kind {} else { node.kind = .object([]) }
        return KeyedDecodingContainer(RecordingKeys(decoder: self))
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        node.kind = .array(SchemaNode())
        return try JSONTreeDecoder(value ?? .array([])).unkeyedContainer()
    }
    func singleValueContainer() -> any SingleValueDecodingContainer { RecordingValue(decoder: self) }
}

private struct RecordingKeys<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: SchemaDecoder
    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { [] }
    private func value(_ key: Key) -> JSON? { decoder.value?.objectValue?[key.stringValue] }

    func contains(_ key: Key) -> Bool { value(key) != nil }
    func decodeNil(forKey key: Key) -> Bool { value(key) == .null }

    private func record(_ key: Key, _ child: SchemaNode, required: Bool) {
        guard case .object(var properties) = decoder.node.kind else { return }
        properties.removeAll { $0.key == key.stringValue }
        properties.append(.init(key: key.stringValue, coded: key.stringValue, node: child, required: required))
        decoder.node.kind = .object(properties)
    }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        let child = SchemaNode.of(type, value: value(key), depth: decoder.depth + 1)
        record(key, child, required: true)
        if let value = value(key) { return try value.decode(type) }
        if let first = Self.firstChoice(child) ?? Self.example(of: type) { return try first.decode(type) }
        return try T(from: SchemaDecoder(node: SchemaNode(), value: nil, depth: decoder.depth + 1))
    }
    private static func example<T>(of type: T.Type) -> JSON? {
        guard let example = (type as? any SchemaDescribed.Type)?.example, example != .null else { return nil }
        return example
    }
    private static func firstChoice(_ node: SchemaNode) -> JSON? {
        if case .choice(let values) = node.kind { values.first } else { nil }
    }
    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
        record(key, SchemaNode.of(type, value: value(key), depth: decoder.depth + 1), required: false)
        guard let value = value(key), value != .null else { return nil }
        return try value.decode(type)
    }
    // The protocol has one requirement for each standard type; its defaults would ask
    // `contains` and never tell the type.
    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try optional(type, key) }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try optional(type, key) }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try optional(type, key) }
    func decodeIfPresent(_ type: Float.Type, forKey key: Key) throws -> Float? { try optional(type, key) }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try optional(type, key) }
    func decodeIfPresent(_ type: Int8.Type, forKey key: Key) throws -> Int8? { try optional(type, key) }
    func decodeIfPresent(_ type: Int16.Type, forKey key: Key) throws -> Int16? { try optional(type, key) }
    func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { try optional(type, key) }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try optional(type, key) }
    func decodeIfPresent(_ type: UInt.Type, forKey key: Key) throws -> UInt? { try optional(type, key) }
    func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? { try optional(type, key) }
    func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? { try optional(type, key) }
    func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? { try optional(type, key) }
    func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { try optional(type, key) }
    private func optional<T: Decodable>(_ type: T.Type, _ key: Key) throws -> T? {
        record(key, SchemaNode.of(type, value: value(key), depth: decoder.depth + 1), required: false)
        guard let value = value(key), value != .null else { return nil }
        return try value.decode(type)
    }

    private func nested(_ key: Key) -> SchemaDecoder {
        let child = SchemaNode()
        child.defaultValue = value(key)
        record(key, child, required: true)
        return SchemaDecoder(node: child, value: value(key), depth: decoder.depth + 1)
    }
    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { nested(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try nested(key).unkeyedContainer()
    }
    func superDecoder() throws -> any Decoder { decoder }
    func superDecoder(forKey key: Key) throws -> any Decoder { nested(key) }
}

private struct RecordingValue: SingleValueDecodingContainer {
    let decoder: SchemaDecoder
    var codingPath: [any CodingKey] { [] }

    private func record<T: Decodable>(_ kind: SchemaNode.Kind, dummy: T) throws -> T {
        decoder.node.kind = kind
        return try decoder.value.map { try $0.decode(T.self) } ?? dummy
    }
    /// Types whose range a reader should see have bounds; Int and Int64 have none.
    private func integer<T: FixedWidthInteger & Decodable>(_ type: T.Type) throws -> T {
        let isNarrow = T.bitWidth < 64
        return try record(
            .integer(
                minimum: isNarrow || !T.isSigned ? .number(String(T.min)) : nil,
                maximum: isNarrow ? .number(String(T.max)) : nil
            ),
            dummy: 0
        )
    }
    func decodeNil() -> Bool { decoder.value == .null }
    func decode(_ type: Bool.Type) throws -> Bool { try record(.boolean, dummy: false) }
    func decode(_ type: String.Type) throws -> String { try record(.string, dummy: "") }
    func decode(_ type: Double.Type) throws -> Double { try record(.number, dummy: 0) }
    func decode(_ type: Float.Type) throws -> Float { try record(.number, dummy: 0) }
    func decode(_ type: Int.Type) throws -> Int { try integer(type) }
    func decode(_ type: Int8.Type) throws -> Int8 { try integer(type) }
    func decode(_ type: Int16.Type) throws -> Int16 { try integer(type) }
    func decode(_ type: Int32.Type) throws -> Int32 { try integer(type) }
    func decode(_ type: Int64.Type) throws -> Int64 { try integer(type) }
    func decode(_ type: UInt.Type) throws -> UInt { try integer(type) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try integer(type) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try integer(type) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try integer(type) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try integer(type) }
    func decode<T: Decodable>(_ type: T.Type) throws -> T {
        let inner = SchemaNode.of(type, value: decoder.value, depth: decoder.depth + 1)
        decoder.node.kind = inner.kind
        if let value = decoder.value { return try value.decode(type) }
        return try T(from: SchemaDecoder(node: SchemaNode(), value: nil, depth: decoder.depth + 1))
    }
}
