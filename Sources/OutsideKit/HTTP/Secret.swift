import Glibc
import JobKit

/// A credential. Prints as dots; only `reveal` gives it away.
public struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let value: String
    public init(_ value: String) { self.value = value }

    public var description: String { "•••" }
    public var debugDescription: String { "•••" }
    public var customMirror: Mirror { Mirror(self, children: []) }
    public var reveal: String { value }

    /// From where a setting says: `file:` and a path (its first line), or `env:` and the name
    /// of a variable that the plugin's `env` lists. The credential itself is refused: settings
    /// are shown by `jobhost show` and kept in its records.
    ///
    /// - Parameter key: the setting, for messages.
    public init(from source: String, key: String) throws {
        if source.hasPrefix("file:") {
            let path = String(source.dropFirst(5))
            guard let text = Self.firstLine(path) else { throw JobFailure.badSettings("\(key): cannot read the file \(path)") }
            guard !text.isEmpty else { throw JobFailure.badSettings("\(key): the file \(path) is empty") }
            value = text
        } else if source.hasPrefix("env:") {
            let name = String(source.dropFirst(4))
            guard let text = getenv(name).map({ String(cString: $0) }), !text.isEmpty else {
                throw JobFailure.badSettings("\(key): the environment has no \(name); list it in the plugin's env")
            }
            value = text
        } else {
            throw Self.malformed(key)
        }
    }

    /// What can be said without reading anything.
    public static func validate(_ source: String, key: String) throws {
        guard source.hasPrefix("file:") || source.hasPrefix("env:") else { throw malformed(key) }
    }

    private static func malformed(_ key: String) -> JobFailure {
        .badSettings("\(key): write \"file:\" and a path or \"env:\" and the name of a variable, not the credential itself")
    }

    private static func firstLine(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = read(file, &bytes, bytes.count)
        guard count >= 0 else { return nil }
        let line = bytes[..<count].prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        return String(decoding: line, as: UTF8.self).trimmingSpaces
    }
}

/// Takes out of a text what must not be shown: known credentials, and the values of query
/// parameters that carry them.
public struct Redactor: Sendable {
    private let secrets: [String]

    public init(_ secrets: [Secret]) {
        // Longest first: one may contain another. Shorter than four bytes would take words apart.
        self.secrets = secrets.map(\.reveal).filter { $0.utf8.count >= 4 }.sorted { $0.utf8.count > $1.utf8.count }
    }

    private static let parameters: Set<String> = [
        "signature", "apikey", "api_key", "key", "secret", "token", "access_token", "password", "auth", "sign",
    ]

    public func redact(_ text: String) -> String {
        var result = text
        for secret in secrets {
            result = Self.replacing(secret, in: result)
            result = Self.replacing(secret.percentEncoded, in: result)
        }
        return Self.withoutParameters(result)
    }

    private static func replacing(_ part: String, in text: String) -> String {
        let (part, bytes) = (Array(part.utf8), Array(text.utf8))
        guard !part.isEmpty, bytes.count >= part.count else { return text }
        var out: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == part[0], bytes[index...].starts(with: part) {
                out += "•••".utf8
                index += part.count
            } else {
                out.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// `signature=abc&x=1` becomes `signature=•••&x=1`.
    private static func withoutParameters(_ text: String) -> String {
        var out = ""
        var name = ""
        var isHidden = false
        for character in text {
            if character.isLetter || character.isNumber || character == "_" {
                name.append(character)
                if !isHidden { out.append(character) }
                continue
            }
            if isHidden, "&;,\"' \n\t)}]".contains(character) { isHidden = false }
            if !isHidden { out.append(character) }
            if character == "=", !isHidden, parameters.contains(name.lowercased()) {
                out += "•••"
                isHidden = true
            }
            name = ""
        }
        return out
    }
}
