/// Encodable to JSON text. Each value is written when its type encodes it, so members stand in that order, and nothing is
/// kept of what has been written. Only a container or an encoder that a type has asked for within its own, and may write
/// to whenever it likes, has a text of its own, which is put into its place at the end.
struct JSONTextEncoder: Encoder {
    let text: JSONTextBuffer
    /// So many objects and arrays of the text are around the value.
    fileprivate let depth: Int
    /// Which value of the text it is.
    fileprivate let slot: Int
    var codingPath: [any CodingKey] { text.path }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    /// - Throws: `EncodingError` for a number that JSON cannot say, for something written where another value has taken its
    ///   place, and what the types throw.
    static func bytes(of value: some Encodable, rules: any JSONRules) throws -> [UInt8] {
        let text = JSONTextBuffer(rules: rules)
        try text.put(value)
        return try text.finished()
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(ObjectText(text: text, place: text.begin(UInt8(ascii: "{"), end: UInt8(ascii: "}"), of: self)))
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        ArrayText(text: text, place: text.begin(UInt8(ascii: "["), end: UInt8(ascii: "]"), of: self))
    }
    func singleValueContainer() -> any SingleValueEncodingContainer { ValueText(text: text, slot: slot) }

    /// What is written as it is.
    func encode(_ json: JSON) throws { try text.put(in: slot) { text.put(json) } }
}

/// A text that is being written, one value after the other.
final class JSONTextBuffer {
    /// An object or array that has begun.
    fileprivate struct Open {
        var end: UInt8
        /// Which value it is: no other has its number.
        var slot: Int
        var count = 0
    }
    /// Where a container writes: into the object or array of that value, if it is the innermost one.
    fileprivate struct Place {
        var depth: Int
        var slot: Int
    }

    fileprivate let rules: any JSONRules
    private var bytes: [UInt8] = []
    /// Of what is being written, from the root; for errors.
    fileprivate private(set) var path: [any CodingKey]
    /// The outermost first.
    private var open: [Open] = []
    private var slots = 0
    /// The value that is to follow here and has not been written.
    private var owed: Int?
    /// What is put in at which byte.
    private var inserts: [(at: Int, text: JSONTextBuffer)] = []
    /// Why there is no text: those who ask for containers cannot be told, and those who write need not say it.
    private var refusal: EncodingError?

    init(rules: any JSONRules, path: [any CodingKey] = []) {
        self.rules = rules
        self.path = path
    }

    /// All of it; nothing may be written any more.
    fileprivate func finished() throws -> [UInt8] {
        close(to: 0)
        if let refusal { throw refusal }
        guard !inserts.isEmpty else { return bytes }
        var whole: [UInt8] = []
        var from = 0
        for insert in inserts {
            whole += bytes[from..<insert.at]
            whole += try insert.text.finished()
            from = insert.at
        }
        return whole + bytes[from...]
    }

    private func refuse() -> EncodingError {
        let error = EncodingError.invalidValue(
            rules.text(of: path), .init(codingPath: path, debugDescription: "it is written where another value stands, or has ended"))
        refusal = refusal ?? error
        return error
    }

    // MARK: Objects and arrays

    /// The object or array of an encoder's value; one that asks twice goes on with what it has.
    fileprivate func begin(_ begin: UInt8, end: UInt8, of encoder: JSONTextEncoder) -> Place {
        let place = Place(depth: encoder.depth + 1, slot: encoder.slot)
        if owed == encoder.slot {
            owed = nil
            bytes.append(begin)
            open.append(Open(end: end, slot: encoder.slot))
        } else if !holds(place) || open[encoder.depth].end != end {
            _ = refuse()
            return Place(depth: 0, slot: 0)
        }
        return place
    }

    /// Whether its object or array is the innermost one.
    private func holds(_ place: Place) -> Bool { open.count == place.depth && place.depth > 0 && open[place.depth - 1].slot == place.slot }

    fileprivate func count(at place: Place) -> Int { holds(place) ? open[place.depth - 1].count : 0 }

    /// Ends all that is deeper. A type that asked for no container encodes nothing.
    private func close(to depth: Int) {
        if owed != nil {
            owed = nil
            bytes += [UInt8(ascii: "{"), UInt8(ascii: "}")]
        }
        while open.count > depth { bytes.append(open.removeLast().end) }
    }

    /// Before each member or element.
    fileprivate func element(at place: Place) throws {
        guard owed == nil, holds(place) else { throw refuse() }
        if open[place.depth - 1].count > 0 { bytes.append(UInt8(ascii: ",")) }
        open[place.depth - 1].count += 1
    }
    fileprivate func member(_ key: some CodingKey, at place: Place) throws {
        try element(at: place)
        rules.write(nameOf: key, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
    }

    // MARK: Values

    private func nextSlot() -> Int {
        slots += 1
        owed = slots
        return slots
    }

    /// For a value whose code is given an encoder or a container, and writes when it likes: a text of its own.
    fileprivate func inserted(_ key: some CodingKey) -> JSONTextEncoder {
        let text = JSONTextBuffer(rules: rules, path: path + [key])
        inserts.append((bytes.count, text))
        return JSONTextEncoder(text: text, depth: 0, slot: text.nextSlot())
    }

    /// What an encoder's value is, in one piece.
    fileprivate func put(in slot: Int, _ write: () throws -> Void) throws {
        guard owed == slot else { throw refuse() }
        owed = nil
        try whole(write) { owed = slot }
    }

    /// Nothing stays of what cannot be encoded, for those who go on without it.
    private func whole(_ write: () throws -> Void, undo: () -> Void) throws {
        let (length, depth, others) = (bytes.count, open.count, inserts.count)
        do {
            try write()
        } catch {
            owed = nil
            bytes.removeSubrange(length...)
            open.removeSubrange(depth...)
            inserts.removeSubrange(others...)
            undo()
            throw error
        }
    }

    fileprivate func null() { write("null") }
    fileprivate func put(_ value: Bool) { write(value ? "true" : "false") }
    fileprivate func put(_ value: String) { JSONText.append(value, to: &bytes) }
    fileprivate func put(integer value: some FixedWidthInteger) { write(String(value)) }
    /// A Float by its own digits: 0.1 stays 0.1 instead of its 17 digits as a Double.
    fileprivate func put(floating value: some BinaryFloatingPoint & CustomStringConvertible) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(value, .init(codingPath: path, debugDescription: "JSON has no \(value)"))
        }
        write(JSON.literal(value))
    }
    fileprivate func put(_ value: JSON) { value.write(to: &bytes) }

    private func write(_ literal: String) { bytes.append(contentsOf: literal.utf8) }

    /// Anything else, by its own code unless the rules have a form for it.
    fileprivate func put(_ value: some Encodable) throws {
        if rules.write(value, to: &bytes) { return }
        let depth = open.count
        try value.encode(to: JSONTextEncoder(text: self, depth: depth, slot: nextSlot()))
        close(to: depth)
    }

    /// A member or an element, after `begin` of it.
    fileprivate func put(_ value: some Encodable, _ key: some CodingKey, at place: Place, _ begin: () throws -> Void) throws {
        guard owed == nil, holds(place) else { throw refuse() }
        let count = open[place.depth - 1].count
        path.append(key)
        defer { path.removeLast() }
        try whole {
            try begin()
            try put(value)
        } undo: {
            open[place.depth - 1].count = count
        }
    }
}

private struct ValueText: SingleValueEncodingContainer {
    let text: JSONTextBuffer
    let slot: Int
    var codingPath: [any CodingKey] { text.path }

    func encodeNil() throws { try text.put(in: slot) { text.null() } }
    func encode(_ value: Bool) throws { try text.put(in: slot) { text.put(value) } }
    func encode(_ value: String) throws { try text.put(in: slot) { text.put(value) } }
    func encode(_ value: Double) throws { try text.put(in: slot) { try text.put(floating: value) } }
    func encode(_ value: Float) throws { try text.put(in: slot) { try text.put(floating: value) } }
    func encode(_ value: Int) throws { try text.put(in: slot) { text.put(integer: value) } }
    func encode(_ value: Int8) throws { try text.put(in: slot) { text.put(integer: value) } }
    func encode(_ value: Int16) throws { try text.put(in: slot) { text.put(integer: value) } }
    func encode(_ value: Int32) throws { try text.put(in: slot) { text.put(integer: value) } }
    func encode(_ value: Int64) throws { try text.put(in: slot) { text.put(integer: value) } }
    func encode(_ value: UInt) throws { try text.put(in: slot) { text.put(integer: value) } }
    func encode(_ value: UInt8) throws { try text.put(in: slot) { text.put(integer: value) } }
    func encode(_ value: UInt16) throws { try text.put(in: slot) { text.put(integer: value) } }
    func encode(_ value: UInt32) throws { try text.put(in: slot) { text.put(integer: value) } }
    func encode(_ value: UInt64) throws { try text.put(in: slot) { text.put(integer: value) } }
    func encode<T: Encodable>(_ value: T) throws { try text.put(in: slot) { try text.put(value) } }
}

private struct ObjectText<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let text: JSONTextBuffer
    let place: JSONTextBuffer.Place
    var codingPath: [any CodingKey] { text.path }

    private func integer(_ value: some FixedWidthInteger, _ key: Key) throws {
        try text.member(key, at: place)
        text.put(integer: value)
    }

    func encodeNil(forKey key: Key) throws {
        try text.member(key, at: place)
        text.null()
    }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        try text.put(value, key, at: place) { try text.member(key, at: place) }
    }
    // Most properties are one of these, and need no encoder of their own.
    func encode(_ value: Bool, forKey key: Key) throws {
        try text.member(key, at: place)
        text.put(value)
    }
    func encode(_ value: String, forKey key: Key) throws {
        try text.member(key, at: place)
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
        // Where it may not be written there is no text at all.
        try? text.member(key, at: place)
        return text.inserted(key)
    }
    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { value(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { value(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { value(JSONIndexKey(index: nil)) }
    func superEncoder(forKey key: Key) -> any Encoder { value(key) }
}

private struct ArrayText: UnkeyedEncodingContainer {
    let text: JSONTextBuffer
    let place: JSONTextBuffer.Place
    var codingPath: [any CodingKey] { text.path }
    var count: Int { text.count(at: place) }

    func encodeNil() throws {
        try text.element(at: place)
        text.null()
    }
    func encode<T: Encodable>(_ value: T) throws {
        try text.put(value, JSONIndexKey(index: count), at: place) { try text.element(at: place) }
    }

    private func value() -> JSONTextEncoder {
        let key = JSONIndexKey(index: count)
        try? text.element(at: place)
        return text.inserted(key)
    }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> { value().container(keyedBy: type) }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { value().unkeyedContainer() }
    func superEncoder() -> any Encoder { value() }
}
