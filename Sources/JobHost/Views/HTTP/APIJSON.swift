import JobConfig
import JobCore
import JobJSON
import NearestName

/// A field of a JSON text that is not what it has to be.
struct FieldError: Error, Equatable, CustomStringConvertible {
    /// "payload.items[2]"; "" is the whole text.
    var path: String
    var message: String
    var hint: String?
    var description: String { path.isEmpty ? message : "\(path): \(message)" }
}

/// Between Codable values and JSON. Used instead of Foundation's coders because payloads and
/// settings must pass through with every digit as it was written, and because a request has to
/// be refused by name of the field that is wrong.
enum APIJSON {
    /// As it stands in JSON.
    static func name(of key: any CodingKey) -> String { APIRules().name(of: key) }

    static func value(of value: some Encodable) throws -> JSON {
        try JSON(encoding: value, rules: APIRules())
    }

    static func bytes(of value: some Encodable) throws -> [UInt8] {
        try JSON.bytes(encoding: value, rules: APIRules())
    }

    /// Throws `FieldError`.
    static func decode<T: Decodable>(_ type: T.Type, from json: JSON) throws -> T {
        try json.decode(type, rules: APIRules())
    }
}

/// Names: `fireTime` in Swift is `fire_time` in JSON. `Instant` is RFC 3339 in UTC, `JSON`
/// and `[String: Int64]` (whose keys are names of people, not of ours) pass unchanged, a nil
/// property is an explicit `null`: the shape of an answer never depends on its content.
///
/// A type whose `CodingKeys` are `CaseIterable` refuses members that it does not know, with the
/// nearest name; others ignore them, so that a newer host may say more than an older client
/// understands.
private struct APIRules: JSONRules {
    var writesNil: Bool { true }

    func name(of key: any CodingKey) -> String {
        var name: [UInt8] = []
        write(key.stringValue, to: &name)
        return String(decoding: name, as: UTF8.self)
    }

    /// Names of properties are ASCII; whatever else stands in one stays as it is.
    private func write(_ name: String, to text: inout [UInt8]) {
        for byte in name.utf8 {
            if byte >= UInt8(ascii: "A"), byte <= UInt8(ascii: "Z") {
                text.append(UInt8(ascii: "_"))
                text.append(byte | 0x20)
            } else {
                text.append(byte)
            }
        }
    }

    /// Asked for every member of every answer: most names are plain.
    func write(nameOf key: some CodingKey, to text: inout [UInt8]) {
        let name = key.stringValue
        guard name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) else {
            return JSONText.append(self.name(of: key), to: &text)
        }
        text.append(UInt8(ascii: "\""))
        write(name, to: &text)
        text.append(UInt8(ascii: "\""))
    }

    /// Asked for every value of every answer: types are compared before anything is cast.
    func write<Value: Encodable>(_ value: Value, to text: inout [UInt8]) -> Bool {
        // What an older store may hold beyond the years that RFC 3339 can write must not hide all else.
        if Value.self == Instant.self, let value = value as? Instant {
            text.append(UInt8(ascii: "\""))
            text.append(contentsOf: min(max(value, .earliestWritten), .latestWritten).rfc3339.utf8)
            text.append(UInt8(ascii: "\""))
            return true
        }
        if Value.self == [String: Int64].self, let value = value as? [String: Int64] {
            text += JSON.object(JSONObject(value.mapValues { .integer($0) })).bytes
            return true
        }
        return false
    }

    func decoded(_ type: any Decodable.Type, from decoder: JSONTreeDecoder) throws -> (any Decodable)? {
        if type == Instant.self {
            guard let instant = decoder.value.stringValue.flatMap(Instant.init(rfc3339:)) else {
                throw error(.wrongType("an instant such as \"2027-01-01T00:00:00Z\""), at: decoder)
            }
            return instant
        }
        if type == [String: Int64].self {
            guard case .object(let members) = decoder.value else { throw error(.wrongType("an object of numbers"), at: decoder) }
            return try members.mapValues {
                try JSONTreeDecoder($0, at: decoder.codingPath, rules: self).decode(Int64.self)
            }
        }
        return nil
    }

    func check(_ object: JSONObject, keys: any CodingKey.Type, at decoder: JSONTreeDecoder) throws {
        guard let listed = keys as? any (CodingKey & CaseIterable).Type else { return }
        let all = names(of: listed)
        for name in object.keys.sorted() where !all.contains(name) {
            let hint =
                nearestName(name, among: all).map { "did you mean \"\($0)\"?" }
                ?? (all.isEmpty ? "no field is expected here" : "allowed: \(all.joined(separator: ", "))")
            throw FieldError(
                path: text(of: decoder.codingPath), message: "unknown field \"\(name.prefix(60))\"", hint: hint)
        }
    }

    private func names<Key: CodingKey & CaseIterable>(of type: Key.Type) -> [String] {
        type.allCases.map { name(of: $0) }
    }

    func error(_ misfit: JSONMisfit, at decoder: JSONTreeDecoder) -> any Error {
        let message =
            switch misfit {
            case .wrongType(let wanted): mismatch(wanted, decoder.value)
            case .noInteger(let min, let max): mismatch("a whole number from \(min) to \(max)", decoder.value)
            case .outOfRange: mismatch("a number", decoder.value)
            case .missing(let key): "the field \"\(name(of: key))\" is missing"
            case .endOfArray(let index): "the array has only \(index) elements"
            }
        return FieldError(path: text(of: decoder.codingPath), message: message)
    }

    func error(_ error: DecodingError, of type: any Decodable.Type, at decoder: JSONTreeDecoder) -> any Error {
        let wanted = (type as? any CaseIterable.Type).map { "one of \(values(of: $0))" } ?? "a different value"
        return FieldError(path: text(of: decoder.codingPath), message: mismatch(wanted, decoder.value))
    }

    private func values<E: CaseIterable>(of type: E.Type) -> String {
        type.allCases.map { value in (value as? any RawRepresentable).map { "\"\($0.rawValue)\"" } ?? "\(value)" }
            .joined(separator: ", ")
    }

    private func mismatch(_ wanted: String, _ value: JSON) -> String {
        let found =
            switch value {
            case .string(let text): "\"\(text.prefix(60))\""
            case .number(let literal): String(literal.prefix(60))
            case .bool(let flag): String(flag)
            default: value.typeName
            }
        return "expected \(wanted), found \(found)"
    }
}
