import JobConfig
import JobCore

/// A field of a JSON text that is not what it has to be.
struct FieldError: Error, Equatable, CustomStringConvertible {
    /// "payload.items[2]"; "" is the whole text.
    var path: String
    var message: String
    var hint: String?
    var description: String { path.isEmpty ? message : "\(path): \(message)" }
}

/// Reads a Codable value from a `JSONValue`. A type whose `CodingKeys` are `CaseIterable` refuses
/// members that it does not know, with the nearest name; others ignore them, so that a newer
/// host may say more than an older client understands.
struct JSONTreeDecoder: Decoder {
    let json: JSONValue
    let path: String
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = json else { throw mismatch("an object") }
        if let all = (type as? any (CodingKey & CaseIterable).Type).map({ names(of: $0) }) {
            for name in members.keys.sorted() where !all.contains(name) {
                let hint = nearestName(name, among: all).map { "did you mean \"\($0)\"?" }
                    ?? (all.isEmpty ? "no field is expected here" : "allowed: \(all.joined(separator: ", "))")
                throw FieldError(path: path, message: "unknown field \"\(name.prefix(60))\"", hint: hint)
            }
        }
        return KeyedDecodingContainer(KeyedReader(members: members, path: path))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let elements) = json else { throw mismatch("an array") }
        return ListReader(elements: elements, path: path)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer { LeafReader(decoder: self) }

    func unboxed<T: Decodable>(_ type: T.Type) throws -> T {
        if type == JSONValue.self, let value = json as? T { return value }
        if type == Instant.self {
            guard let text = json.stringValue, let instant = Instant(rfc3339: text), let value = instant as? T else {
                throw mismatch("an instant such as \"2027-01-01T00:00:00Z\"")
            }
            return value
        }
        if type == [String: Int64].self {
            guard case .object(let members) = json else { throw mismatch("an object of numbers") }
            let counts = try members.mapValues { try JSONTreeDecoder(json: $0, path: path).unboxed(Int64.self) }
            if let value = counts as? T { return value }
        }
        do {
            return try T(from: self)
        } catch is DecodingError {
            throw mismatch(allowedValues(of: type) ?? "a different value")
        }
    }

    func mismatch(_ wanted: String) -> FieldError {
        let found: String =
            switch json {
            case .string(let text): "\"\(text.prefix(60))\""
            case .number(let literal): String(literal.prefix(60))
            case .bool(let value): String(value)
            default: "\(json.typeName)"
            }
        return FieldError(path: path, message: "expected \(wanted), found \(found)")
    }
}

private func names<Key: CodingKey & CaseIterable>(of type: Key.Type) -> [String] {
    type.allCases.map { APIJSON.fieldName($0) }
}

private func allowedValues<T>(of type: T.Type) -> String? {
    func values<E: CaseIterable>(_ type: E.Type) -> String {
        type.allCases.map { value in (value as? any RawRepresentable).map { "\"\($0.rawValue)\"" } ?? "\(value)" }
            .joined(separator: ", ")
    }
    return (type as? any CaseIterable.Type).map { "one of \(values($0))" }
}

private struct KeyedReader<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let members: [String: JSONValue]
    let path: String
    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { members.keys.sorted().compactMap(Key.init(stringValue:)) }

    func contains(_ key: Key) -> Bool { members[APIJSON.fieldName(key)] != nil }

    private func decoder(_ key: Key) throws -> JSONTreeDecoder {
        let name = APIJSON.fieldName(key)
        guard let json = members[name] else { throw FieldError(path: path, message: "the field \"\(name)\" is missing") }
        return JSONTreeDecoder(json: json, path: path.isEmpty ? name : "\(path).\(name)")
    }

    func decodeNil(forKey key: Key) throws -> Bool { try decoder(key).json == .null }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try decoder(key).unboxed(type) }
    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { try decoder(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try decoder(key).unkeyedContainer()
    }
    func superDecoder() throws -> any Decoder { JSONTreeDecoder(json: .object(members), path: path) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(key) }
}

private struct ListReader: UnkeyedDecodingContainer {
    let elements: [JSONValue]
    let path: String
    var codingPath: [any CodingKey] { [] }
    var currentIndex = 0
    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex >= elements.count }

    init(elements: [JSONValue], path: String) {
        self.elements = elements
        self.path = path
    }

    private mutating func next() throws -> JSONTreeDecoder {
        guard !isAtEnd else { throw FieldError(path: path, message: "the array has only \(elements.count) elements") }
        defer { currentIndex += 1 }
        return JSONTreeDecoder(json: elements[currentIndex], path: "\(path)[\(currentIndex)]")
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, elements[currentIndex] == .null else { return false }
        currentIndex += 1
        return true
    }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try next().unboxed(type) }
    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> {
        try next().container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try next() }
}

private struct LeafReader: SingleValueDecodingContainer {
    let decoder: JSONTreeDecoder
    var codingPath: [any CodingKey] { [] }

    func decodeNil() -> Bool { decoder.json == .null }

    func decode(_ type: Bool.Type) throws -> Bool {
        guard let value = decoder.json.boolValue else { throw decoder.mismatch("true or false") }
        return value
    }
    func decode(_ type: String.Type) throws -> String {
        guard let value = decoder.json.stringValue else { throw decoder.mismatch("a string") }
        return value
    }
    func decode(_ type: Double.Type) throws -> Double {
        guard case .number(let literal) = decoder.json, let value = Double(literal) else { throw decoder.mismatch("a number") }
        return value
    }
    func decode(_ type: Float.Type) throws -> Float { Float(try decode(Double.self)) }

    private func integer<I: FixedWidthInteger>(_ type: I.Type) throws -> I {
        guard case .number(let literal) = decoder.json, let value = I(literal) else {
            throw decoder.mismatch("a whole number from \(I.min) to \(I.max)")
        }
        return value
    }
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
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try decoder.unboxed(type) }
}
