/// Decodable from a JSON tree. Strict about types: no string becomes a number, no fraction an
/// integer.
package struct JSONTreeDecoder: Decoder {
    package let value: JSON
    package let codingPath: [any CodingKey]
    package let rules: any JSONRules
    package var userInfo: [CodingUserInfoKey: Any] { [:] }

    package init(_ value: JSON, at path: [any CodingKey] = [], rules: any JSONRules = PlainRules()) {
        self.value = value
        codingPath = path
        self.rules = rules
    }

    package func decode<T: Decodable>(_ type: T.Type) throws -> T {
        // Unwrapped before the cast: a nil would be taken for the nil of an optional T.
        if let own = try rules.decoded(type, from: self), let own = own as? T { return own }
        do {
            return try T(from: self)
        } catch let error as DecodingError {
            throw rules.error(error, of: type, at: self)
        }
    }

    package func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let object) = value else { throw rules.error(.wrongType("an object"), at: self) }
        try rules.check(object, keys: type, at: self)
        return KeyedDecodingContainer(KeyedValues(decoder: self, object: object))
    }
    package func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let elements) = value else { throw rules.error(.wrongType("an array"), at: self) }
        return ListedValues(decoder: self, elements: elements)
    }
    package func singleValueContainer() throws -> any SingleValueDecodingContainer { SingleValue(decoder: self) }

    fileprivate func child(_ value: JSON, _ key: any CodingKey) -> JSONTreeDecoder {
        JSONTreeDecoder(value, at: codingPath + [key], rules: rules)
    }

    fileprivate func integer<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
        if let whole, let number = T(exactly: whole) { return number }
        throw rules.error(.noInteger(min: String(T.min), max: String(T.max)), at: self)
    }
    /// Wide enough for all types, so that digits are read by one function.
    private var whole: Int128? {
        guard case .number(let literal) = value else { return nil }
        return Int128(literal) ?? (rules.takesWholeDecimals ? DecimalText(literal)?.integer : nil)
    }
    fileprivate func floating<T: BinaryFloatingPoint & LosslessStringConvertible>(_ type: T.Type) throws -> T {
        guard case .number(let literal) = value else { throw rules.error(.wrongType("a number"), at: self) }
        guard let number = T(literal), number.isFinite else { throw rules.error(.outOfRange, at: self) }
        return number
    }
    fileprivate func string() throws -> String {
        guard case .string(let text) = value else { throw rules.error(.wrongType("a string"), at: self) }
        return text
    }
    fileprivate func bool() throws -> Bool {
        guard case .bool(let flag) = value else { throw rules.error(.wrongType("true or false"), at: self) }
        return flag
    }
}

private struct SingleValue: SingleValueDecodingContainer {
    let decoder: JSONTreeDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }
    func decodeNil() -> Bool { decoder.value == .null }
    func decode(_ type: Bool.Type) throws -> Bool { try decoder.bool() }
    func decode(_ type: String.Type) throws -> String { try decoder.string() }
    func decode(_ type: Double.Type) throws -> Double { try decoder.floating(type) }
    func decode(_ type: Float.Type) throws -> Float { try decoder.floating(type) }
    func decode(_ type: Int.Type) throws -> Int { try decoder.integer(type) }
    func decode(_ type: Int8.Type) throws -> Int8 { try decoder.integer(type) }
    func decode(_ type: Int16.Type) throws -> Int16 { try decoder.integer(type) }
    func decode(_ type: Int32.Type) throws -> Int32 { try decoder.integer(type) }
    func decode(_ type: Int64.Type) throws -> Int64 { try decoder.integer(type) }
    func decode(_ type: UInt.Type) throws -> UInt { try decoder.integer(type) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try decoder.integer(type) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try decoder.integer(type) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try decoder.integer(type) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try decoder.integer(type) }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try decoder.decode(type) }
}

/// One generic `decode` serves all types: the standard ones ask their single value container.
private struct KeyedValues<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: JSONTreeDecoder
    let object: JSONObject
    var codingPath: [any CodingKey] { decoder.codingPath }
    var allKeys: [Key] { object.keys.compactMap { Key(stringValue: $0) } }
    func contains(_ key: Key) -> Bool { object[decoder.rules.name(of: key)] != nil }

    private func member(_ key: any CodingKey) throws -> JSONTreeDecoder {
        guard let value = object[decoder.rules.name(of: key)] else {
            throw decoder.rules.error(.missing(key), at: decoder)
        }
        return decoder.child(value, key)
    }
    func decodeNil(forKey key: Key) throws -> Bool { try member(key).value == .null }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try member(key).decode(type) }
    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { try member(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try member(key).unkeyedContainer()
    }
    func superDecoder() throws -> any Decoder { try member(JSONIndexKey(index: nil)) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try member(key) }
}

private struct ListedValues: UnkeyedDecodingContainer {
    let decoder: JSONTreeDecoder
    let elements: [JSON]
    var currentIndex = 0
    init(decoder: JSONTreeDecoder, elements: [JSON]) {
        self.decoder = decoder
        self.elements = elements
    }
    var codingPath: [any CodingKey] { decoder.codingPath }
    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex >= elements.count }

    /// The next element; `currentIndex` moves only once it has been decoded.
    private mutating func take<R>(_ body: (JSONTreeDecoder) throws -> R) throws -> R {
        guard !isAtEnd else { throw decoder.rules.error(.endOfArray(index: currentIndex), at: decoder) }
        let result = try body(decoder.child(elements[currentIndex], JSONIndexKey(index: currentIndex)))
        currentIndex += 1
        return result
    }
    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, elements[currentIndex] == .null else { return false }
        currentIndex += 1
        return true
    }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try take { try $0.decode(type) } }
    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> { try take { try $0.container(keyedBy: type) } }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try take { try $0.unkeyedContainer() }
    }
    mutating func superDecoder() throws -> any Decoder { try take { $0 } }
}
