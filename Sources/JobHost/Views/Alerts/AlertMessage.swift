import JobCore

extension API {
    /// What a webhook is sent, and a command finds on its standard input.
    public struct AlertMessage: Codable, Sendable {
        /// The same each time it is tried.
        public var id: String
        /// Name of the host.
        public var host: String
        public var at: Instant
        /// One line for people: what is worst, and how much more there is.
        public var summary: String
        /// The worst first.
        public var alerts: [AlertLine]
        /// Left out of `alerts`, which holds 50 at the most, and no more than one message carries.
        public var more: Int
    }

    public struct AlertLine: Codable, Sendable {
        /// The same for one thing, however often it is told.
        public var key: String
        public var kind: Alert.Kind
        public var severity: Alert.Severity
        public var state: String
        /// The job or plugin; "" for the host.
        public var subject: String
        public var text: String
        /// A command that helps.
        public var hint: String
        public var since: Instant
        public var count: Int
    }

    /// `GET /alerts`.
    public struct Alerts: Codable, Sendable {
        /// What is wrong now, the longest first.
        public var alerts: [AlertLine]
        public var receivers: [AlertReceiver]
    }

    public struct AlertReceiver: Codable, Sendable {
        /// The URL without its query, or the command's program.
        public var name: String
        public var waiting: Int
        /// Messages given up, since the start.
        public var lost: Int
        /// Of the last attempt; `null`: it arrived.
        public var problem: String?
    }

    /// `POST /alerts/test`: whether each receiver took a message.
    public struct AlertTest: Codable, Sendable {
        public var receivers: [AlertReceiver]
    }
}

extension API.AlertLine {
    init(_ line: AlertBook.Line) {
        self.init(
            key: Self.clipped(line.alert.key), kind: line.alert.kind, severity: line.alert.severity, state: line.state.rawValue,
            subject: Self.clipped(line.alert.subject), text: Self.clipped(line.alert.text), hint: Self.clipped(line.alert.hint),
            since: line.since, count: line.count)
    }

    /// At most a thousand bytes.
    static func clipped(_ text: String) -> String {
        guard text.utf8.count > 1_000 else { return text }
        var out = ""
        for character in text {
            guard out.utf8.count + character.utf8.count <= 997 else { break }
            out.append(character)
        }
        return out + "…"
    }
}

extension API.AlertMessage {
    static let mostLines = 50
    /// Bytes of all lines as they are written: JSON, and each quotation mark and backslash of it once more, as curl has
    /// its config (`Webhook.curlConfig`), of which it takes lines up to 100 KiB.
    static let mostBytes = 80 << 10

    init(id: String, host: String, at: Instant, _ lines: [AlertBook.Line]) {
        let first = lines.first.map { line in
            let state = line.state == .resolved ? "over: " : ""
            let times = line.count > 1 ? " (\(line.count) times)" : ""
            return state + API.AlertLine.clipped(line.alert.text).prefix(300) + times
        }
        let rest = lines.count > 1 ? " (and \(lines.count - 1) more)" : ""
        let shown = Self.fitting(lines.prefix(Self.mostLines).map(API.AlertLine.init))
        self.init(
            id: id, host: host, at: at, summary: "\(host): \(first ?? "")\(rest)", alerts: shown,
            more: lines.count - shown.count)
    }

    private static func fitting(_ lines: [API.AlertLine]) -> [API.AlertLine] {
        var room = mostBytes
        return Array(lines.prefix { line in
            let bytes = (try? APIJSON.bytes(of: line)) ?? []
            room -= bytes.reduce(bytes.count + 1) { $0 + ($1 == UInt8(ascii: "\"") || $1 == UInt8(ascii: "\\") ? 1 : 0) }
            return room >= 0
        })
    }
}
