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

    /// What a setting holds: the credential itself, or `env:` and the name of a variable that the
    /// plugin's `env` lists. `file:` is the host's: it has put the file's content in its place
    /// (docs/CONFIG.md, "Secrets"), so that it never arrives here.
    ///
    /// - Parameter key: the setting, for messages.
    /// - Throws: `JobFailure.badSettings`.
    public init(from setting: String, key: String) throws {
        try Self.validate(setting, key: key)
        guard setting.hasPrefix("env:") else {
            value = setting
            return
        }
        let name = String(setting.dropFirst(4))
        guard let text = getenv(name).map({ String(cString: $0) }), !text.isEmpty else {
            throw JobFailure.badSettings("\(key): the environment has no \(name); list it in the plugin's env")
        }
        value = text
    }

    /// What can be said without reading anything.
    public static func validate(_ setting: String, key: String) throws {
        if setting.isEmpty {
            throw JobFailure.badSettings(
                "\(key): there is none; write \"file:\" and a path, or \"env:\" and the name of a variable")
        }
        if setting.hasPrefix("file:") {
            throw JobFailure.badSettings(
                "\(key): \"file:\" is read by the host, which has not; here the credential itself is expected")
        }
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
