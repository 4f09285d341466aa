import JobCore
import JobJSON
import JobStore

/// A run's log, page by page.
struct LogPages: Sendable {
    /// Most bytes of log in one page.
    static let limit = 256 << 10

    let logs: RunLogs
    /// Name of this host.
    let host: String

    func page(of run: RunRecord, from: Int64, limit: Int) -> API.LogPage {
        let slice = logs.read(job: run.job, run: run.id, from: from, limit: limit)
        // Between two attempts the log is closed, but not over.
        // Each host has the logs of what it ran; an earlier attempt may have been here.
        let isElsewhere = !run.owner.isEmpty && run.owner != host && slice.bytes.isEmpty
        return API.LogPage(
            run: run.id.value, lines: slice.bytes.split(separator: UInt8(ascii: "\n")).map { Self.line($0, of: run.id) }, next: slice.next,
            ended: slice.ended && run.state.isTerminal, elsewhere: isElsewhere ? run.owner : nil)
    }

    /// One JSON line of the log; what is none (a line longer than a page, in pieces) is shown as
    /// text.
    static func line(_ bytes: ArraySlice<UInt8>, of run: RunID) -> API.LogLine {
        guard let json = try? JSON(parsing: Array(bytes), limits: .init(bytes: limit, allowsDuplicateKeys: true)),
            case .object = json
        else {
            return API.LogLine(
                t: nil, run: run.value, level: "info", stream: "log", text: String(decoding: bytes, as: UTF8.self), fields: .null)
        }
        return API.LogLine(
            t: instant(json["t"]), run: run.value, level: json["level"]?.stringValue ?? "info",
            stream: json["stream"]?.stringValue ?? "log", text: json["text"]?.stringValue ?? "",
            fields: json["fields"] ?? .null)
    }

    /// RFC 3339, or microseconds since the epoch.
    private static func instant(_ json: JSON?) -> Instant? {
        json?.stringValue.flatMap(Instant.init(rfc3339:)) ?? json?.int64Value.map(Instant.init(microseconds:))
    }
}
