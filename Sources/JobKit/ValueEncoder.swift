// Encodable to a JSON tree.

struct ValueEncoder: Encoder {
    /// Where the value goes. Containers hand out slots, the tree is read off at the end.
    final class Slot {
        var value: JSON?
        var members: [(key: String, slot: Slot)]?
        var elements: [Slot]?

        func finish() -> JSON {
            if let members { return .object(JSONObject(members.map { ($0.key, $0.slot.finish()) })) }
            if let elements { return .array(elements.map { $0.finish() }) }
            // An object without containers: a type that encodes nothing.
            return value ?? .object(JSONObject())
        }
    }

    let slot: Slot
    var codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    static func encode(_ value: some Encodable) throws -> JSON {
        let slot = Slot()
        try ValueEncoder(slot: slot, codingPath: []).encode(value)
        return slot.finish()
    }

    func encode(_ value: some Encodable) throws { try value.encode(to: self) }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        if slot.members == nil { slot.members = [] }
        return KeyedEncodingContainer(KeyedSlots(slot: slot, codingPath: codingPath))
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if slot.elements == nil { slot.elements = [] }
        return ListedSlots(slot: slot, codingPath: codingPath)
    }
    func singleValueContainer() -> any SingleValueEncodingContainer { SingleSlot(encoder: self) }

    func floating(_ value: Double) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(
                value, .init(codingPath: codingPath, debugDescription: "JSON has no \(value)"))
        }
        slot.value = JSON(value)
    }
}

private struct SingleSlot: SingleValueEncodingContainer {
    var encoder: ValueEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }
    private func number(_ value: some FixedWidthInteger) { encoder.slot.value = .number(String(value)) }

    func encodeNil() throws { encoder.slot.value = .null }
    func encode(_ value: Bool) throws { encoder.slot.value = .bool(value) }
    func encode(_ value: String) throws { encoder.slot.value = .string(value) }
    func encode(_ value: Double) throws { try encoder.floating(value) }
    func encode(_ value: Float) throws {
        // Through the text: 0.1 stays 0.1 instead of its 17 digits as a Double.
        guard value.isFinite else { return try encoder.floating(Double(value)) }
        let text = value.description
        encoder.slot.value = .number(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
    }
    func encode(_ value: Int) throws { number(value) }
    func encode(_ value: Int8) throws { number(value) }
    func encode(_ value: Int16) throws { number(value) }
    func encode(_ value: Int32) throws { number(value) }
    func encode(_ value: Int64) throws { number(value) }
    func encode(_ value: UInt) throws { number(value) }
    func encode(_ value: UInt8) throws { number(value) }
    func encode(_ value: UInt16) throws { number(value) }
    func encode(_ value: UInt32) throws { number(value) }
    func encode(_ value: UInt64) throws { number(value) }
    func encode<T: Encodable>(_ value: T) throws { try encoder.encode(value) }
}

private struct KeyedSlots<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let slot: ValueEncoder.Slot
    var codingPath: [any CodingKey]

    private func member(_ key: any CodingKey) -> ValueEncoder {
        let child = ValueEncoder.Slot()
        slot.members?.append((key.stringValue, child))
        return ValueEncoder(slot: child, codingPath: codingPath + [key])
    }
    func encodeNil(forKey key: Key) throws { member(key).slot.value = .null }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws { try member(key).encode(value) }
    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { member(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { member(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { member(SuperKey()) }
    func superEncoder(forKey key: Key) -> any Encoder { member(key) }
}

private struct ListedSlots: UnkeyedEncodingContainer {
    let slot: ValueEncoder.Slot
    var codingPath: [any CodingKey]
    var count: Int { slot.elements?.count ?? 0 }

    private func next() -> ValueEncoder {
        let child = ValueEncoder.Slot()
        let key = IndexKey(index: count)
        slot.elements?.append(child)
        return ValueEncoder(slot: child, codingPath: codingPath + [key])
    }
    func encodeNil() throws { next().slot.value = .null }
    func encode<T: Encodable>(_ value: T) throws { try next().encode(value) }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        next().container(keyedBy: type)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { next().unkeyedContainer() }
    func superEncoder() -> any Encoder { next() }
}
