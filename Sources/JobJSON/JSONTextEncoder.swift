/// Encodable to JSON text. Each value is written when its type encodes it, so members stand in that order, and nothing is
/// kept of what has been written. An object or array ends where its value does, or where something beside it begins: what
/// has ended is not gone back to.
struct JSONTextEncoder: Encoder {
    /// One text, which all containers of its values write to.
    final class Text {
        let rules: any JSONRules
        fileprivate(set) var bytes: [UInt8] = []
        /// Of what is being written, from the root; for errors.
        fileprivate var path: [any CodingKey] = []
        /// What ends each object and array that has begun, and how many it has, the outermost first.
        private var open: [(end: UInt8, count: Int)] = []
        /// Something is to follow here and has not been written.
        private var isOwed = false
        /// Why there is no text; some of those who ask for containers cannot be told.
        fileprivate private(set) var refusal: EncodingError?

        init(rules: any JSONRules) { self.rules = rules }
    }

    let text: Text
    /// So many objects and arrays are around the value.
    fileprivate let depth: Int
    var codingPath: [any CodingKey] { text.path }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    /// - Throws: `EncodingError` for a number that JSON cannot say, and what the types throw.
    static func bytes(of value: some Encodable, rules: any JSONRules) throws -> [UInt8] {
        let text = Text(rules: rules)
        try text.put(value)
        if let refusal = text.refusal { throw refusal }
        return text.bytes
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(ObjectText(text: text, depth: text.begin(UInt8(ascii: "{"), end: UInt8(ascii: "}"), below: depth)))
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        ArrayText(text: text, depth: text.begin(UInt8(ascii: "["), end: UInt8(ascii: "]"), below: depth))
    }
    func singleValueContainer() -> any SingleValueEncodingContainer { ValueText(text: text) }
}

extension JSONTextEncoder.Text {
    fileprivate var depth: Int { open.count }

    fileprivate func count(at depth: Int) -> Int { open.count >= depth ? open[depth - 1].count : 0 }

    /// An object or array around which there are `depth`; a value that asks twice goes on with the one that it has.
    fileprivate func begin(_ begin: UInt8, end: UInt8, below depth: Int) -> Int {
        if open.count > depth, open[depth].end == end {
            close(to: depth + 1)
        } else {
            bytes.append(begin)
            open.append((end, 0))
            isOwed = false
        }
        return depth + 1
    }

    /// Ends all that is deeper.
    private func close(to depth: Int) {
        settle()
        while open.count > depth { bytes.append(open.removeLast().end) }
    }

    /// A type that asks for no container encodes nothing.
    private func settle() {
        guard isOwed else { return }
        isOwed = false
        bytes += [UInt8(ascii: "{"), UInt8(ascii: "}")]
    }

    /// Before each member or element of the container at `depth`.
    private func next(at depth: Int) throws {
        close(to: depth)
        guard open.count == depth else {
            let error = EncodingError.invalidValue(
                self, .init(codingPath: path, debugDescription: "a container is written to after something beside it has begun"))
            refusal = error
            throw error
        }
        if open[depth - 1].count > 0 { bytes.append(UInt8(ascii: ",")) }
        open[depth - 1].count += 1
    }
    fileprivate func member(_ key: some CodingKey, at depth: Int) throws {
        try next(at: depth)
        rules.write(nameOf: key, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
    }
    fileprivate func element(at depth: Int) throws { try next(at: depth) }

    /// The value comes from an encoder that somebody is given.
    fileprivate func awaits() { isOwed = true }

    // What stands alone.

    fileprivate func null() { write("null") }
    fileprivate func put(_ value: Bool) { write(value ? "true" : "false") }
    fileprivate func put(_ value: String) {
        isOwed = false
        JSONText.append(value, to: &bytes)
    }
    fileprivate func put(integer value: some FixedWidthInteger) { write(String(value)) }
    /// A Float by its own digits: 0.1 stays 0.1 instead of its 17 digits as a Double.
    fileprivate func put(floating value: some BinaryFloatingPoint & CustomStringConvertible) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(value, .init(codingPath: path, debugDescription: "JSON has no \(value)"))
        }
        write(JSON.literal(value))
    }
    func put(_ value: JSON) {
        isOwed = false
        value.write(to: &bytes)
    }

    private func write(_ literal: String) {
        isOwed = false
        bytes.append(contentsOf: literal.utf8)
    }

    /// Anything else, by its own code unless the rules have a form for it.
    fileprivate func put(_ value: some Encodable) throws {
        isOwed = false
        if rules.write(value, to: &bytes) { return }
        let depth = open.count
        isOwed = true
        try value.encode(to: JSONTextEncoder(text: self, depth: depth))
        close(to: depth)
    }
    fileprivate func put(_ value: some Encodable, at key: some CodingKey) throws {
        path.append(key)
        defer { path.removeLast() }
        try put(value)
    }
}

private struct ValueText: SingleValueEncodingContainer {
    let text: JSONTextEncoder.Text
    var codingPath: [any CodingKey] { text.path }

    func encodeNil() throws { text.null() }
    func encode(_ value: Bool) throws { text.put(value) }
    func encode(_ value: String) throws { text.put(value) }
    func encode(_ value: Double) throws { try text.put(floating: value) }
    func encode(_ value: Float) throws { try text.put(floating: value) }
    func encode(_ value: Int) throws { text.put(integer: value) }
    func encode(_ value: Int8) throws { text.put(integer: value) }
    func encode(_ value: Int16) throws { text.put(integer: value) }
    func encode(_ value: Int32) throws { text.put(integer: value) }
    func encode(_ value: Int64) throws { text.put(integer: value) }
    func encode(_ value: UInt) throws { text.put(integer: value) }
    func encode(_ value: UInt8) throws { text.put(integer: value) }
    func encode(_ value: UInt16) throws { text.put(integer: value) }
    func encode(_ value: UInt32) throws { text.put(integer: value) }
    func encode(_ value: UInt64) throws { text.put(integer: value) }
    func encode<T: Encodable>(_ value: T) throws { try text.put(value) }
}

private struct ObjectText<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let text: JSONTextEncoder.Text
    let depth: Int
    var codingPath: [any CodingKey] { text.path }

    private func integer(_ value: some FixedWidthInteger, _ key: Key) throws {
        try text.member(key, at: depth)
        text.put(integer: value)
    }

    func encodeNil(forKey key: Key) throws {
        try text.member(key, at: depth)
        text.null()
    }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        try text.member(key, at: depth)
        try text.put(value, at: key)
    }
    // Most properties are one of these, and need no encoder of their own.
    func encode(_ value: Bool, forKey key: Key) throws {
        try text.member(key, at: depth)
        text.put(value)
    }
    func encode(_ value: String, forKey key: Key) throws {
        try text.member(key, at: depth)
        text.put(value)
    }
    func encode(_ value: Int, forKey key: Key) throws { try integer(value, key) }
    func encode(_ value: Int8, forKey key: Key) throws { try integer(value, key) }
    func encode(_ value: Int16, forKey key: Key) throws { try integer(value, key) }
    func encode(_ value: Int32, forKey key: Key) throws { try integer(value, key) }
    func encode(_ value: Int64, forKey key: Key) throws { try integer(value, key) }
    func encode(_ value: UInt, forKey key: Key) throws { try integer(value, key) }
    func encode(_ value: UInt8, forKey key: Key) throws { try integer(value, key) }
    func encode(_ value: UInt16, forKey key: Key) throws { try integer(value, key) }
    func encode(_ value: UInt32, forKey key: Key) throws { try integer(value, key) }
    func encode(_ value: UInt64, forKey key: Key) throws { try integer(value, key) }

    private func optional<T>(_ value: T?, _ key: Key, _ encode: (T, Key) throws -> Void) throws {
        if let value {
            try encode(value, key)
        } else if text.rules.writesNil {
            try encodeNil(forKey: key)
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

    /// For a value whose code is given an encoder or a container, and writes when it likes.
    private func value(_ key: some CodingKey) -> JSONTextEncoder {
        if (try? text.member(key, at: depth)) != nil { text.awaits() }
        return JSONTextEncoder(text: text, depth: depth)
    }
    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { value(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { value(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { value(JSONIndexKey(index: nil)) }
    func superEncoder(forKey key: Key) -> any Encoder { value(key) }
}

private struct ArrayText: UnkeyedEncodingContainer {
    let text: JSONTextEncoder.Text
    let depth: Int
    var codingPath: [any CodingKey] { text.path }
    var count: Int { text.count(at: depth) }

    func encodeNil() throws {
        try text.element(at: depth)
        text.null()
    }
    func encode<T: Encodable>(_ value: T) throws {
        let key = JSONIndexKey(index: count)
        try text.element(at: depth)
        try text.put(value, at: key)
    }

    private func value() -> JSONTextEncoder {
        if (try? text.element(at: depth)) != nil { text.awaits() }
        return JSONTextEncoder(text: text, depth: depth)
    }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> { value().container(keyedBy: type) }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { value().unkeyedContainer() }
    func superEncoder() -> any Encoder { value() }
}
