/// `host:port` of the machine itself. There are no tokens yet, so nothing else may be listened on.
public struct LoopbackAddress: Hashable, Sendable {
    /// An address in numbers, without brackets.
    public var host: String
    /// 0: any free one.
    public var port: Int

    /// Why a text is not such an address.
    public struct Refusal: Error, Hashable, CustomStringConvertible {
        public var message: String
        public var hint: String
        public var description: String { "\(message) (\(hint))" }
    }

    /// "127.0.0.1:9480", any other number of 127.0.0.0/8, "localhost:9480", "[::1]:9480".
    public init(_ text: String) throws(Refusal) {
        let shown = "\"\(shownName(text))\""
        guard let colon = text.lastIndex(of: ":"), let port = Self.port(text[text.index(after: colon)...]) else {
            throw Refusal(message: "\(shown) is not host:port, port 0 … 65535", hint: "such as \"127.0.0.1:9480\"")
        }
        let host = String(text[..<colon])
        self.port = port
        switch host {
        case "localhost": self.host = "127.0.0.1"
        case "[::1]": self.host = "::1"
        default:
            guard Self.isLoopback(host) else {
                throw Refusal(
                    message: "\(shown) is refused: the API has no access control over TCP yet, so it answers on this machine only",
                    hint: "use \"127.0.0.1:\(port)\"")
            }
            self.host = host
        }
    }

    /// Digits only: Swift's own reading takes a sign too.
    private static func port(_ text: Substring) -> Int? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt16(text).map(Int.init)
    }

    /// 127.0.0.0/8, as four numbers.
    private static func isLoopback(_ host: String) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
