import JobConfig
import JobCore

/// Between Codable values and `JSONValue`. Used instead of Foundation's coders because payloads
/// and settings must pass through with every digit as it was written, and because a request
/// has to be refused by name of the field that is wrong.
///
/// Names: `fireTime` in Swift is `fire_time` in JSON. `Instant` is RFC 3339 in UTC, `JSONValue`
/// and `[String: Int64]` (whose keys are names of people, not of ours) pass unchanged, a nil
/// property is an explicit `null`: the shape of an answer never depends on its content.
enum APIJSON {
    static func value(of value: some Encodable) throws -> JSONValue {
        try JSONNode.holding(value).json
    }

    static func bytes(of value: some Encodable) throws -> [UInt8] {
        try self.value(of: value).bytes
    }

    /// Throws `FieldError`.
    static func decode<T: Decodable>(_ type: T.Type, from json: JSONValue) throws -> T {
        try JSONTreeDecoder(json: json, path: "").unboxed(type)
    }

    static func fieldName(_ key: some CodingKey) -> String {
        var name = ""
        for character in key.stringValue {
            if character.isUppercase {
                name += "_" + character.lowercased()
            } else {
                name.append(character)
            }
        }
        return name
    }
}

/// A value under construction: containers are handed out before they are filled.
private final class JSONNode {
    enum Content {
        case leaf(JSONValue)
        case object([String: JSONNode])
        case array([JSONNode])
    }
    var content: Content = .leaf(.null)

    init(_ content: Content = .leaf(.null)) { self.content = content }

    var json: JSONValue {
        switch content {
        case .leaf(let value): value
        case .object(let members): .object(members.mapValues(\.json))
        case .array(let elements): .array(elements.map(\.json))
        }
    }

    static func holding(_ value: some Encodable) throws -> JSONNode {
        switch value {
        case let json as JSONValue: return JSONNode(.leaf(json))
        case let instant as Instant: return JSONNode(.leaf(.string(instant.rfc3339)))
        case let counts as [String: Int64]: return JSONNode(.leaf(.object(counts.mapValues { .integer($0) })))
        default:
            let node = JSONNode()
            try value.encode(to: JSONTreeEncoder(node: node))
            return node
        }
    }

    func set(_ child: JSONNode, for name: String) {
        guard case .object(var members) = content else { return }
        members[name] = child
        content = .object(members)
    }

    func append(_ child: JSONNode) {
        guard case .array(var elements) = content else { return }
        elements.append(child)
        content = .array(elements)
    }

    var count: Int {
        guard case .array(let elements) = content else { return 0 }
        return elements.count
    }
}

private struct JSONTreeEncoder: Encoder {
    let node: JSONNode
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        node.content = .object([:])
        return KeyedEncodingContainer(KeyedWriter(node: node))
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.content = .array([])
        return ListWriter(node: node)
    }
    func singleValueContainer() -> any SingleValueEncodingContainer { LeafWriter(node: node) }
}

private struct KeyedWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: JSONNode
    var codingPath: [any CodingKey] { [] }

    private func write(_ value: some Encodable, _ key: Key) throws {
        node.set(try .holding(value), for: APIJSON.fieldName(key))
    }
    private func writeOptional(_ value: (some Encodable)?, _ key: Key) throws {
        if let value { try write(value, key) } else { node.set(JSONNode(), for: APIJSON.fieldName(key)) }
    }
    mutating func encodeNil(forKey key: Key) throws { node.set(JSONNode(), for: APIJSON.fieldName(key)) }
    mutating func encode<T: Encodable>(_ value: T, forKey key: Key) throws { try write(value, key) }
    // The compiler's own encode(to:) calls these for optional properties; the default leaves
    // them out.
    mutating func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try writeOptional(value, key) }
    mutating func encodeIfPresent(_ value: String?, forKey key: Key) throws { try writeOptional(value, key) }
    mutating func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try writeOptional(value, key) }
    mutating func encodeIfPresent(_ value: Int64?, forKey key: Key) throws { try writeOptional(value, key) }
    mutating func encodeIfPresent(_ value: UInt64?, forKey key: Key) throws { try writeOptional(value, key) }
    mutating func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws { try writeOptional(value, key) }

    private func child(_ key: Key, _ content: JSONNode.Content) -> JSONNode {
        let child = JSONNode(content)
        node.set(child, for: APIJSON.fieldName(key))
        return child
    }
    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        KeyedEncodingContainer(KeyedWriter<Nested>(node: child(key, .object([:]))))
    }
    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        ListWriter(node: child(key, .array([])))
    }
    mutating func superEncoder() -> any Encoder { JSONTreeEncoder(node: node) }
    mutating func superEncoder(forKey key: Key) -> any Encoder { JSONTreeEncoder(node: child(key, .leaf(.null))) }
}

private struct ListWriter: UnkeyedEncodingContainer {
    let node: JSONNode
    var codingPath: [any CodingKey] { [] }
    var count: Int { node.count }

    mutating func encodeNil() throws { node.append(JSONNode()) }
    mutating func encode<T: Encodable>(_ value: T) throws { node.append(try .holding(value)) }

    private func child(_ content: JSONNode.Content) -> JSONNode {
        let child = JSONNode(content)
        node.append(child)
        return child
    }
    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        KeyedEncodingContainer(KeyedWriter<Nested>(node: child(.object([:]))))
    }
    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { ListWriter(node: child(.array([]))) }
    mutating func superEncoder() -> any Encoder { JSONTreeEncoder(node: child(.leaf(.null))) }
}

private struct LeafWriter: SingleValueEncodingContainer {
    let node: JSONNode
    var codingPath: [any CodingKey] { [] }

    private func write(_ value: JSONValue) { node.content = .leaf(value) }
    mutating func encodeNil() throws { write(.null) }
    mutating func encode(_ value: Bool) throws { write(.bool(value)) }
    mutating func encode(_ value: String) throws { write(.string(value)) }
    mutating func encode(_ value: Double) throws { write(value.isFinite ? .number("\(value)") : .null) }
    mutating func encode(_ value: Float) throws { write(value.isFinite ? .number("\(value)") : .null) }
    mutating func encode(_ value: Int) throws { write(.number("\(value)")) }
    mutating func encode(_ value: Int8) throws { write(.number("\(value)")) }
    mutating func encode(_ value: Int16) throws { write(.number("\(value)")) }
    mutating func encode(_ value: Int32) throws { write(.number("\(value)")) }
    mutating func encode(_ value: Int64) throws { write(.number("\(value)")) }
    mutating func encode(_ value: UInt) throws { write(.number("\(value)")) }
    mutating func encode(_ value: UInt8) throws { write(.number("\(value)")) }
    mutating func encode(_ value: UInt16) throws { write(.number("\(value)")) }
    mutating func encode(_ value: UInt32) throws { write(.number("\(value)")) }
    mutating func encode(_ value: UInt64) throws { write(.number("\(value)")) }
    mutating func encode<T: Encodable>(_ value: T) throws { node.content = try JSONNode.holding(value).content }
}
