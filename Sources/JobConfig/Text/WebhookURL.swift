/// `http://host:port/path?query` of a webhook.
public struct WebhookURL: Hashable, Sendable {
    public var host: String
    public var port: Int
    /// With the query, from "/" on.
    public var path: String

    public struct Refusal: Error, Hashable {
        public var message: String
        public var hint: String?
    }

    public init(_ text: String) throws(Refusal) {
        let scheme = "http://"
        guard !text.hasPrefix("https://") else {
            throw Refusal(
                message: "the host itself speaks no TLS",
                hint: "use 'command' with a program that does: [\"curl\", \"-fsS\", \"--data-binary\", \"@-\", \"https://…\"]")
        }
        guard text.hasPrefix(scheme), text.utf8.count <= 2_000, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Refusal(message: "it is no http:// URL", hint: "such as \"http://127.0.0.1:9093/hook\"")
        }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { !"/?#".contains($0) }
        path = String(rest.dropFirst(authority.count).prefix { $0 != "#" })
        if !path.hasPrefix("/") { path = "/" + path }
        guard !authority.contains("@") else { throw Refusal(message: "credentials do not belong into the URL", hint: "'secret' signs what is sent") }
        let colon = authority.hasSuffix("]") ? nil : authority.lastIndex(of: ":")
        let name = authority[..<(colon ?? authority.endIndex)]
        host = String(name.hasPrefix("[") && name.hasSuffix("]") ? name.dropFirst().dropLast() : name)
        let digits = colon.map { authority[authority.index(after: $0)...] } ?? "80"
        guard !host.isEmpty, let port = UInt16(digits), port > 0, digits.first != "+" else {
            throw Refusal(message: "it names no host and port", hint: "such as \"http://127.0.0.1:9093/hook\"")
        }
        self.port = Int(port)
    }

    public var authority: String { (host.contains(":") ? "[\(host)]" : host) + (port == 80 ? "" : ":\(port)") }
    public var text: String { shown }
    /// Without the query, which may hold a key.
    public var shown: String { "http://\(authority)\(path.prefix { $0 != "?" })" }
}

extension WebhookURL: CustomStringConvertible, CustomReflectable {
    public var description: String { shown }
    public var customMirror: Mirror { Mirror(self, children: ["url": shown]) }
}
