import JobCore
import JobJSON

/// One line of a run's log, and its JSON form: one object on one line,
/// `{"t":µs since the epoch,"job":…,"run":…,"level":…,"stream":…,"text":…,"fields":{…}}`, `fields` only when
/// there are some, `job` and `run` not between runs: a line that was shipped elsewhere still says whose it is.
public struct LogLine: Sendable {
    public enum Stream: String, Sendable {
        case stdout, stderr
        /// Written by the plugin through its context.
        case log
        /// Written by the host.
        case host
    }
    public var at: Instant
    public var level: LogLevel
    public var stream: Stream
    /// Meant as UTF-8; what is not becomes U+FFFD.
    public var text: [UInt8]
    /// JSON object; empty: none. What is no object is kept as a string under "invalid".
    public var fields: Bytes

    public init(at: Instant, level: LogLevel, stream: Stream, text: [UInt8], fields: Bytes = []) {
        self.at = at
        self.level = level
        self.stream = stream
        self.text = text
        self.fields = fields
    }
    public init(at: Instant, level: LogLevel, stream: Stream, text: String, fields: Bytes = []) {
        self.init(at: at, level: level, stream: stream, text: Array(text.utf8), fields: fields)
    }

    /// With the line end. `run`: whose it is; nil: of no run.
    func json(of run: LoggedRun? = nil) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.count + fields.count + 80 + (run?.json.count ?? 0))
        out += #"{"t":"#.utf8
        out += String(at.microseconds).utf8
        if let run { out += run.json }
        out += #","level":"#.utf8
        JSONText.append(level.name, to: &out)
        out += #","stream":"#.utf8
        JSONText.append(stream.rawValue, to: &out)
        out += #","text":"#.utf8
        // JSON of ours holds no NUL: its picture stands for it.
        let shown = text.contains(0) ? text.flatMap { $0 == 0 ? Array("␀".utf8) : [$0] } : text
        JSONText.append(shown, to: &out, escaping: .controls)
        if !fields.isEmpty {
            out += #","fields":"#.utf8
            if let object = JSONText.compactObject(fields) {
                out += object
            } else {
                out += #"{"invalid":"#.utf8
                JSONText.append(fields, to: &out, escaping: .controls)
                out.append(UInt8(ascii: "}"))
            }
        }
        out += "}\n".utf8
        return out
    }
}

/// The run that lines are of, as it stands in each of them.
struct LoggedRun: Sendable {
    /// `,"job":"…","run":41`
    fileprivate let json: [UInt8]

    init(_ run: RunID, job: String) {
        var out = Array(#","job":"#.utf8)
        JSONText.append(job, to: &out)
        out += #","run":\#(run.value)"#.utf8
        json = out
    }
}

extension LogLevel {
    /// As logs and the API spell it.
    public var name: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        case .critical: "critical"
        }
    }
}
