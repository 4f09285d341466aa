import JobKit

/// What a run found and did: numbers of its own, and `notes`. Collected while it works and told
/// at its end: so that it is tested without a host, and what was rolled back is not told.
public protocol RunReport {
    var notes: RunNotes { get set }
}

/// Lines for the log, failures counted, and why a run stopped early.
public struct RunNotes: Hashable, Sendable {
    public enum Level: Sendable { case debug, info, warning, error, critical }
    public struct Line: Hashable, Sendable {
        public var level: Level
        public var text: String

        public init(level: Level, text: String) {
            self.level = level
            self.text = text
        }
    }

    public private(set) var lines: [Line] = []
    /// What failed; only the first `mostErrors` have a line.
    public private(set) var errors = 0
    /// Why the run stopped before its end: a cap, or what looks like somebody else's fault.
    public var halt: String?
    private let mostErrors: Int
    private let mostDetails: Int
    private var details = 0

    /// - Parameters:
    ///   - mostErrors: so many failures are told, the others counted.
    ///   - mostDetails: so many debug lines are kept.
    public init(mostErrors: Int = .max, mostDetails: Int = .max) {
        self.mostErrors = mostErrors
        self.mostDetails = mostDetails
    }

    public mutating func add(_ level: Level, _ text: String) {
        if level == .debug {
            guard details < mostDetails else { return }
            details += 1
        }
        lines.append(Line(level: level, text: text))
    }

    public mutating func fail(_ text: String, _ level: Level = .error) {
        errors += 1
        if errors <= mostErrors { lines.append(Line(level: level, text: text)) }
    }

    func write(to log: RunLog) {
        for line in lines {
            switch line.level {
            case .debug: log.debug(line.text)
            case .info: log.info(line.text)
            case .warning: log.warning(line.text)
            case .error: log.error(line.text)
            case .critical: log.critical(line.text)
            }
        }
        if errors > mostErrors { log.error("… and \(errors - mostErrors) more like these") }
        if let halt { log.critical("halted: " + halt) }
    }
}

extension RunReport {
    public var lines: [RunNotes.Line] { notes.lines }
    public var errors: Int { notes.errors }
    public var halt: String? {
        get { notes.halt }
        set { notes.halt = newValue }
    }

    /// One item.
    public mutating func debug(_ text: String) { notes.add(.debug, text) }
    public mutating func info(_ text: String) { notes.add(.info, text) }
    public mutating func warn(_ text: String) { notes.add(.warning, text) }
    /// Somebody has to come. Not counted as an error of the run.
    public mutating func alert(_ text: String) { notes.add(.critical, text) }
    /// Counts an item that failed; it stops no other.
    public mutating func fail(_ text: String, _ level: RunNotes.Level = .error) { notes.fail(text, level) }

    /// One sentence for the list of runs: "Checked 5 deposits: 3 updated, 0 errors (234ms)".
    ///
    /// - Parameters:
    ///   - did: "Checked 5 deposits".
    ///   - results: "3 updated"; the errors come last, by themselves.
    ///   - mode: says where nothing was written.
    public func summary(_ did: String, _ results: [String], _ mode: MoneyMode = .live, milliseconds: Int64) -> String {
        let shadow = mode == .shadow ? " (shadow, nothing written)" : ""
        return "\(did)\(shadow): \((results + [counted(errors, "error")]).joined(separator: ", ")) (\(milliseconds)ms)"
    }

    /// - Parameter hasFailed: the run as a whole, not one item of many.
    public func outcome(_ summary: String, hasFailed: Bool = false) -> RunOutcome {
        if let halt { return .failed("Halted: \(halt). \(summary)", code: 1) }
        return hasFailed ? .failed(summary, code: 2) : .succeeded(summary)
    }
}

extension RunContext {
    /// Logs what a run has to say, in its order, the halt last.
    public func tell(_ report: some RunReport) { report.notes.write(to: log) }
}
