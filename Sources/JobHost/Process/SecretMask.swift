import JobConfig

/// Takes the host's secrets out of what plugins say of themselves, before it reaches a log, the ledger, the page or a
/// webhook. Secrets, and lines of them, shorter than `shortest` bytes are left: they are too likely to be an ordinary
/// word of a log.
struct SecretMask: Sendable {
    static let shortest = 8
    static let stars = Array("***".utf8)

    /// The longer first: one may hold another.
    private let secrets: [[UInt8]]
    /// By the first byte: whether a secret begins so. Most lines hold none, and are walked through once.
    private let begins: [Bool]

    init(_ secrets: Secrets = Secrets()) {
        // What is printed comes in lines, and so does a key that has several.
        let lines = secrets.texts.flatMap { $0.utf8.split { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }.map(Array.init) }
        let known = Set(lines.filter { $0.count >= Self.shortest })
        self.secrets = known.sorted { $0.count > $1.count }
        var begins = Array(repeating: false, count: known.isEmpty ? 0 : 256)
        for secret in known { begins[Int(secret[0])] = true }
        self.begins = begins
    }

    /// The same bytes where there is nothing to hide.
    func hiding(_ text: [UInt8]) -> [UInt8] {
        guard !secrets.isEmpty, var at = text.firstIndex(where: { begins[Int($0)] }) else { return text }
        var (out, copied): ([UInt8], Int) = ([], 0)
        while at < text.count {
            guard begins[Int(text[at])], let secret = secrets.first(where: { text[at...].starts(with: $0) }) else {
                at += 1
                continue
            }
            out += text[copied..<at]
            out += Self.stars
            at += secret.count
            copied = at
        }
        return copied == 0 ? text : out + text[copied...]
    }

    func hiding(_ text: String) -> String {
        guard !secrets.isEmpty, text.utf8.contains(where: { begins[Int($0)] }) else { return text }
        return String(decoding: hiding(Array(text.utf8)), as: UTF8.self)
    }
}
