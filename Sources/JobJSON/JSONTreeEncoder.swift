/// Encodable to a JSON tree.
struct JSONTreeEncoder: Encoder {
    /// Where a value goes. Containers hand out slots before they are filled; the tree is read
    /// off at the end.
    final class Slot {
        /// What needs no container of its own is kept as it is.
        enum Content {
            case value(JSON)
            case slot(Slot)

            fileprivate func finish() -> JSON {
                switch self {
                case .value(let value): value
                case .slot(let slot): slot.finish()
                }
            }
        }
        var value: JSON?
        var members: [(String, Content)]?
        var elements: [Content]?
        /// The place in the tree, for errors; the tree's root is held by whoever encodes.
        private unowned let parent: Slot?
        private let key: (any CodingKey)?

        init(below parent: Slot? = nil, at key: (any CodingKey)? = nil) {
            self.parent = parent
            self.key = key
        }

        var path: [any CodingKey] { (parent?.path ?? []) + (key.map { [$0] } ?? []) }

        func finish() -> JSON {
            if let members { return .object(JSONObject(members.map { ($0, $1.finish()) })) }
            if let elements { return .array(elements.map { $0.finish() }) }
            // A type that asks for no container encodes nothing.
            return value ?? .object(JSONObject())
        }
    }

    let slot: Slot
    let rules: any JSONRules
    var codingPath: [any CodingKey] { slot.path }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func encode(_ value: some Encodable) throws {
        if let own = rules.encoded(value) {
            slot.value = own
        } else {
            try value.encode(to: self)
        }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        if slot.members == nil { slot.members = [] }
        return KeyedEncodingContainer(KeyedSlots(encoder: self))
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if slot.elements == nil { slot.elements = [] }
        return ListedSlots(encoder: self)
    }
    func singleValueContainer() -> any SingleValueEncodingContainer { SingleSlot(encoder: self) }

    fileprivate func child(_ child: Slot) -> JSONTreeEncoder { JSONTreeEncoder(slot: child, rules: rules) }
}

private struct SingleSlot: SingleValueEncodingContainer {
    let encoder: JSONTreeEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }

    private func integer(_ value: some FixedWidthInteger) { encoder.slot.value = .number(String(value)) }
    // A Float by its own digits: 0.1 stays 0.1 instead of its 17 digits as a Double.
    private func floating(_ value: some BinaryFloatingPoint & CustomStringConvertible) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(value, .init(codingPath: codingPath, debugDescription: "JSON has no \(value)"))
        }
        encoder.slot.value = .number(JSON.literal(value))
    }

    func encodeNil() throws { encoder.slot.value = .null }
    func encode(_ value: Bool) throws { encoder.slot.value = .bool(value) }
    func encode(_ value: String) throws { encoder.slot.value = .string(value) }
    func encode(_ value: Double) throws { try floating(value) }
    func encode(_ value: Float) throws { try floating(value) }
    func encode(_ value: Int) throws { integer(value) }
    func encode(_ value: Int8) throws { integer(value) }
    func encode(_ value: Int16) throws { integer(value) }
    func encode(_ value: Int32) throws { integer(value) }
    func encode(_ value: Int64) throws { integer(value) }
    func encode(_ value: UInt) throws { integer(value) }
    func encode(_ value: UInt8) throws { integer(value) }
    func encode(_ value: UInt16) throws { integer(value) }
    func encode(_ value: UInt32) throws { integer(value) }
    func encode(_ value: UInt64) throws { integer(value) }
    func encode<T: Encodable>(_ value: T) throws { try encoder.encode(value) }
}

private struct KeyedSlots<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let encoder: JSONTreeEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }

    private func member(_ key: any CodingKey) -> JSONTreeEncoder {
        let child = JSONTreeEncoder.Slot(below: encoder.slot, at: key)
        encoder.slot.members?.append((encoder.rules.name(of: key), .slot(child)))
        return encoder.child(child)
    }
    private func put(_ value: JSON, _ key: Key) { encoder.slot.members?.append((encoder.rules.name(of: key), .value(value))) }
    private func integer(_ value: some FixedWidthInteger & Encodable, _ key: Key) { put(encoder.rules.encoded(value) ?? .integer(value), key) }

    func encodeNil(forKey key: Key) throws { put(.null, key) }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        if let own = encoder.rules.encoded(value) { return put(own, key) }
        try value.encode(to: member(key))
    }
    // Most properties are one of these, and need no encoder of their own.
    func encode(_ value: Bool, forKey key: Key) throws { put(encoder.rules.encoded(value) ?? .bool(value), key) }
    func encode(_ value: String, forKey key: Key) throws { put(encoder.rules.encoded(value) ?? .string(value), key) }
    func encode(_ value: Int, forKey key: Key) throws { integer(value, key) }
    func encode(_ value: Int8, forKey key: Key) throws { integer(value, key) }
    func encode(_ value: Int16, forKey key: Key) throws { integer(value, key) }
    func encode(_ value: Int32, forKey key: Key) throws { integer(value, key) }
    func encode(_ value: Int64, forKey key: Key) throws { integer(value, key) }
    func encode(_ value: UInt, forKey key: Key) throws { integer(value, key) }
    func encode(_ value: UInt8, forKey key: Key) throws { integer(value, key) }
    func encode(_ value: UInt16, forKey key: Key) throws { integer(value, key) }
    func encode(_ value: UInt32, forKey key: Key) throws { integer(value, key) }
    func encode(_ value: UInt64, forKey key: Key) throws { integer(value, key) }

    private func optional<T>(_ value: T?, _ key: Key, _ encode: (T, Key) throws -> Void) throws {
        if let value {
            try encode(value, key)
        } else if encoder.rules.writesNil {
            put(.null, key)
        }
    }
    // The compiler's own encode(to:) calls one of these for an optional property; the defaults
    // leave nil out.
    func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: String?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: Double?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: Float?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: Int8?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: Int16?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: Int32?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: Int64?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: UInt?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: UInt8?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: UInt16?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: UInt32?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent(_ value: UInt64?, forKey key: Key) throws { try optional(value, key, encode) }
    func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws { try optional(value, key, encode) }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { member(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { member(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { member(JSONIndexKey(index: nil)) }
    func superEncoder(forKey key: Key) -> any Encoder { member(key) }
}

private struct ListedSlots: UnkeyedEncodingContainer {
    let encoder: JSONTreeEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }
    var count: Int { encoder.slot.elements?.count ?? 0 }

    private func next() -> JSONTreeEncoder {
        let child = JSONTreeEncoder.Slot(below: encoder.slot, at: JSONIndexKey(index: count))
        encoder.slot.elements?.append(.slot(child))
        return encoder.child(child)
    }
    func encodeNil() throws { encoder.slot.elements?.append(.value(.null)) }
    func encode<T: Encodable>(_ value: T) throws { try next().encode(value) }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        next().container(keyedBy: type)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { next().unkeyedContainer() }
    func superEncoder() -> any Encoder { next() }
}
