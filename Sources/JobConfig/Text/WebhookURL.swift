/// `http://host:port/path?query` of a webhook, or the same with `https`.
public struct WebhookURL: Hashable, Sendable {
    /// TLS, the certificate verified.
    public var isSecure: Bool
    public var host: String
    public var port: Int
    /// With the query, from "/" on.
    public var path: String
    /// It was read from a file: whoever has its path may send.
    public var isSecret = false

    public struct Refusal: Error, Hashable {
        public var message: String
        public var hint: String?
    }

    public init(_ text: String) throws(Refusal) {
        let example = "such as \"https://alerts.example/hook\" or \"http://127.0.0.1:9093/hook\""
        isSecure = text.hasPrefix("https://")
        guard isSecure || text.hasPrefix("http://"), text.utf8.count <= 2_000, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Refusal(message: "it is no https:// or http:// URL", hint: example)
        }
        let rest = text.dropFirst(isSecure ? 8 : 7)
        let authority = rest.prefix { !"/?#".contains($0) }
        path = String(rest.dropFirst(authority.count).prefix { $0 != "#" })
        if !path.hasPrefix("/") { path = "/" + path }
        guard !authority.contains("@") else { throw Refusal(message: "credentials do not belong into the URL", hint: "'secret' signs what is sent") }
        let colon = authority.hasSuffix("]") ? nil : authority.lastIndex(of: ":")
        let name = authority[..<(colon ?? authority.endIndex)]
        host = String(name.hasPrefix("[") && name.hasSuffix("]") ? name.dropFirst().dropLast() : name)
        let digits = colon.map { authority[authority.index(after: $0)...] } ?? (isSecure ? "443" : "80")
        guard !host.isEmpty, let port = UInt16(digits), port > 0, digits.first != "+" else {
            throw Refusal(message: "it names no host and port", hint: example)
        }
        self.port = Int(port)
    }

    private var scheme: String { isSecure ? "https" : "http" }
    public var authority: String { (host.contains(":") ? "[\(host)]" : host) + (port == (isSecure ? 443 : 80) ? "" : ":\(port)") }
    /// All of it: for whom it is sent to, and nobody else.
    public var whole: String { "\(scheme)://\(authority)\(path)" }
    /// Without what may be a key: the query, and of one that was read from a file the path too.
    public var shown: String { "\(scheme)://\(authority)" + (isSecret ? "/…" : path.prefix { $0 != "?" }) }
}

extension WebhookURL: CustomStringConvertible, CustomReflectable {
    public var description: String { shown }
    public var customMirror: Mirror { Mirror(self, children: ["url": shown]) }
}
