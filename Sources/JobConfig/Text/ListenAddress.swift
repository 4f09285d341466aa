/// `host:port` of `[http] listen`. Addresses are numbers, so that nothing is looked up at a start.
public struct ListenAddress: Hashable, Sendable {
    /// An address in numbers, without brackets.
    public var host: String
    /// 0: any free one.
    public var port: Int
    /// Only this machine reaches it.
    public var isLoopback: Bool

    /// Why a text is not such an address.
    public struct Refusal: Error, Hashable, CustomStringConvertible {
        public var message: String
        public var hint: String
        public var description: String { "\(message) (\(hint))" }
    }

    /// "127.0.0.1:9480", "localhost:9480", "[::1]:9480", "0.0.0.0:9480", "[::]:9480".
    public init(_ text: String) throws(Refusal) {
        let shown = "\"\(shownName(text))\""
        guard let colon = text.lastIndex(of: ":"), let port = Self.port(text[text.index(after: colon)...]) else {
            throw Refusal(message: "\(shown) is not host:port, port 0 … 65535", hint: "such as \"127.0.0.1:9480\"")
        }
        let host = String(text[..<colon])
        self.port = port
        if host == "localhost" {
            (self.host, isLoopback) = ("127.0.0.1", true)
        } else if let bytes = Self.ipv4(host) {
            (self.host, isLoopback) = (host, bytes[0] == 127)
        } else if host.hasPrefix("["), host.hasSuffix("]"), Self.isIPv6(host.dropFirst().dropLast()) {
            self.host = String(host.dropFirst().dropLast())
            isLoopback = self.host == "::1"
        } else {
            throw Refusal(
                message: "\(shown) does not begin with an address in numbers",
                hint: "such as \"127.0.0.1:\(port)\", \"[::1]:\(port)\" or \"0.0.0.0:\(port)\"")
        }
    }

    /// As a browser writes it.
    public var authority: String { authority(port: port) }
    public func authority(port: Int) -> String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Digits only: Swift's own reading takes a sign too.
    private static func port(_ text: Substring) -> Int? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt16(text).map(Int.init)
    }

    /// Four numbers.
    private static func ipv4(_ host: String) -> [UInt8]? {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else { return nil }
        let bytes = parts.compactMap { UInt8($0) }
        return bytes.count == 4 ? bytes : nil
    }

    /// Up to eight groups of hexadecimal digits, one gap. The system judges the rest at the bind.
    private static func isIPv6(_ text: Substring) -> Bool {
        let groups = text.split(separator: ":", omittingEmptySubsequences: false)
        return (3...9).contains(groups.count) && text.utf8.count <= 39
            && groups.allSatisfy { $0.utf8.count <= 4 && $0.allSatisfy(\.isHexDigit) && $0.utf8.allSatisfy { $0 < 0x80 } }
    }
}
