/// Supervisor → worker: what `doctor`, or `schema`, is asked with.
public struct DiagnoseFrame: Hashable, Sendable {
    public var job: String
    public var entry: String
    /// JSON object.
    public var settings: Bytes
    /// What the plugin is told it has; 0: no limit.
    public var timeout: Duration
    /// A JSON object for `schema`; empty: `doctor` is asked.
    public var schemaRequest: Bytes
    public init(job: String, entry: String, settings: Bytes, timeout: Duration, schemaRequest: Bytes = []) {
        self.job = job
        self.entry = entry
        self.settings = settings
        self.timeout = timeout
        self.schemaRequest = schemaRequest
    }
}

/// What a plugin's `doctor` says of one subject, or its `schema` of one object.
public struct PluginFinding: Hashable, Sendable {
    public enum Level: UInt8, Hashable, Sendable { case ok = 1, warning, error }
    public var level: Level
    /// One or two words for what was looked at.
    public var subject: String
    public var text: String
    public init(_ level: Level, _ subject: String, _ text: String) {
        self.level = level
        self.subject = subject
        self.text = text
    }
}

/// How `doctor` ended.
public enum DiagnosisEnd: Hashable, Sendable {
    /// It looked at everything; `dropped` findings were more than are kept.
    case complete(dropped: UInt32)
    /// The entry has none.
    case absent
    /// It could not look at everything, or there was no instance, with the reason.
    case failed(String)
}

extension DiagnoseFrame {
    func write(to writer: inout WireWriter) {
        writer.write(job)
        writer.write(entry)
        writer.write(settings)
        writer.write(timeout)
        writer.write(schemaRequest)
    }
    init(from reader: inout WireReader) throws(WireError) {
        let job = try reader.readString()
        let entry = try reader.readString()
        let settings = try reader.readBytes()
        let timeout = try reader.readDuration()
        self.init(job: job, entry: entry, settings: settings, timeout: timeout, schemaRequest: try reader.readBytes())
    }
}

extension PluginFinding {
    func write(to writer: inout WireWriter) {
        writer.write(level.rawValue)
        writer.write(subject)
        writer.write(text)
    }
    init(from reader: inout WireReader) throws(WireError) {
        let level = try reader.readUInt8()
        guard let level = Level(rawValue: level) else { throw .invalid("level \(level) of a finding") }
        let subject = try reader.readString()
        self.init(level, subject, try reader.readString())
    }
}

extension DiagnosisEnd {
    func write(to writer: inout WireWriter) {
        switch self {
        case .complete(let dropped):
            writer.write(UInt8(0))
            writer.write(dropped)
        case .absent: writer.write(UInt8(1))
        case .failed(let reason):
            writer.write(UInt8(2))
            writer.write(reason)
        }
    }
    init(from reader: inout WireReader) throws(WireError) {
        switch try reader.readUInt8() {
        case 0: self = .complete(dropped: try reader.readUInt32())
        case 1: self = .absent
        case 2: self = .failed(try reader.readString())
        case let other: throw .invalid("end \(other) of a diagnosis")
        }
    }
}
