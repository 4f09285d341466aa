import Dispatch
import Glibc
import JobCore
import Synchronization

/// Where the host's own log lines go: standard error or a file, as text or as JSON lines.
///
/// Writing a line never waits for the disk or for whoever reads our standard error: lines go
/// into a bounded buffer that a queue of its own empties. When the buffer is full, lines are
/// dropped and counted, and the count is logged when there is room again. One entry is one
/// line whatever it contains: line ends and control characters are escaped. Any thread.
/// Nothing is masked here: do not hand over secrets.
public final class HostLog: Sendable {
    public enum Format: String, Sendable { case text, json }

    /// nil file: standard error.
    public struct Options: Sendable {
        public var level: LogLevel = .info
        public var format: Format = .text
        /// Absolute path, appended to, made with mode 0640; nil: standard error.
        public var file: String?
        /// Socket of systemd's journal, which gets entries with fields instead of lines of text; nil, or with a
        /// file or JSON lines: it does not.
        public var journal: String?
        /// Bytes that may wait. At least one line always fits. Default 4 MiB.
        public var bufferLimit = 4 << 20
        /// nil: coloured if the destination is a terminal and `NO_COLOR` is unset.
        public var colour: Bool?
        public init() {}
    }

    /// What waits to be written.
    private struct Entry {
        var line: [UInt8]
        /// The same for the journal; nil: there is none.
        var journal: [UInt8]?
    }

    private struct State {
        var options: Options
        var pending: [Entry] = []
        /// Bytes of `pending`.
        var size = 0
        var dropped = 0
        var isDraining = false
        var wantsReopen = false
        var fault: String?
    }

    private let state: Mutex<State>
    private let writer: LogWriter
    private let queue = DispatchQueue(label: "jobhost.log")
    private let environment: [String: String]
    private let clock: any TimeSource

    /// - Parameters:
    ///   - environment: `NO_COLOR` and `TERM` of it count.
    ///   - clock: for the log's own lines (dropped lines, a file that cannot be opened).
    /// - Throws: `LogFileError` if the file cannot be opened.
    public init(
        _ options: Options = Options(), environment: [String: String] = [:], clock: any TimeSource = SystemClock()
    ) throws(LogFileError) {
        let isPlain = options.file == nil && options.format == .text
        writer = try LogWriter(file: options.file, journal: isPlain ? options.journal : nil)
        self.environment = environment
        self.clock = clock
        var resolved = options
        resolved.colour = options.colour ?? Self.wantsColour(writer, environment)
        state = Mutex(State(options: resolved))
    }

    public var level: LogLevel {
        get { state.withLock { $0.options.level } }
        set { state.withLock { $0.options.level = newValue } }
    }

    /// What last kept lines from being written ("no space left on device"); nil: all is well.
    public var fault: String? { state.withLock { $0.fault } }

    /// - Parameter fields: in the order given; keys are expected to be short identifiers.
    public func log(_ level: LogLevel, _ message: String, _ fields: [(String, String)] = [], at instant: Instant) {
        let options = state.withLock { $0.options }
        guard level >= options.level else { return }
        let line = HostLogLine(level: level, at: instant, message: message, fields: fields)
        let text = options.format == .json ? line.json : line.text(colour: options.colour ?? false)
        append(Entry(line: text, journal: writer.hasJournal ? line.journal : nil))
    }

    /// Opens the file anew (SIGUSR1, after logrotate has renamed it), in order with the lines:
    /// those logged before go to the old one. If that fails the old one stays in use, with
    /// a line that says so.
    public func reopen() {
        state.withLock { $0.wantsReopen = true }
        drainSoon()
    }

    /// Waits until what was logged before has been written, at most `limit`. true: it has.
    @discardableResult
    public func flush(limit: Duration = .seconds(2)) -> Bool {
        let done = DispatchSemaphore(value: 0)
        drainSoon()
        queue.async { done.signal() }
        let milliseconds = Int(clamping: max(limit, .zero).milliseconds)
        return done.wait(timeout: .now() + .milliseconds(milliseconds)) == .success
    }

    private func append(_ entry: Entry) {
        let size = entry.line.count + (entry.journal?.count ?? 0)
        let mustDrain = state.withLock { state in
            if state.pending.isEmpty || state.size + size <= state.options.bufferLimit {
                state.pending.append(entry)
                state.size += size
            } else {
                state.dropped += 1
            }
            defer { state.isDraining = true }
            return !state.isDraining
        }
        if mustDrain { queue.async { self.drain() } }
    }

    private func drainSoon() {
        let mustDrain = state.withLock { state in
            defer { state.isDraining = true }
            return !state.isDraining
        }
        if mustDrain { queue.async { self.drain() } }
    }

    /// On `queue`: writes until nothing is left.
    private func drain() {
        while true {
            let (entries, dropped, wantsReopen) = state.withLock { state in
                let taken = (state.pending, state.dropped, state.wantsReopen)
                (state.pending, state.size, state.dropped, state.wantsReopen) = ([], 0, 0, false)
                if taken.0.isEmpty, taken.1 == 0, !taken.2 { state.isDraining = false }
                return taken
            }
            if entries.isEmpty, dropped == 0, !wantsReopen { return }
            var output: [UInt8] = []
            // What the journal does not take goes the way of text, which leads there too.
            for entry in entries where !writer.tell(entry.journal) { output += entry.line }
            if dropped > 0 { output += notice("\(dropped) log lines were dropped: the log could not be written fast enough") }
            let problem = output.isEmpty ? nil : writer.write(output)
            state.withLock { $0.fault = problem }
            if wantsReopen { reopenNow() }
        }
    }

    private func reopenNow() {
        do {
            try writer.reopen()
        } catch {
            let problem = writer.write(notice("\(error); writing on to the old one"))
            state.withLock { $0.fault = problem ?? error.description }
            return
        }
        let colour = Self.wantsColour(writer, environment)
        state.withLock { state in if state.options.file != nil { state.options.colour = colour } }
    }

    private func notice(_ message: String) -> [UInt8] {
        let options = state.withLock { $0.options }
        let line = HostLogLine(level: .warning, at: clock.now().wall, message: message, fields: [])
        return options.format == .json ? line.json : line.text(colour: options.colour ?? false)
    }

    /// The convention of https://no-color.org.
    private static func wantsColour(_ writer: LogWriter, _ environment: [String: String]) -> Bool {
        environment["NO_COLOR"].map(\.isEmpty) ?? true && environment["TERM"] != "dumb" && writer.isTerminal
    }
}

public struct LogFileError: Error, Hashable, Sendable, CustomStringConvertible {
    public var path: String
    public var errno: Int32
    public var description: String { "cannot open the log file \(path): \(String(cString: strerror(errno)))" }
}

/// The descriptor behind a log. Confined to the log's queue after `init`.
private final class LogWriter: @unchecked Sendable {
    // Unchecked: `descriptor` and `journal` are only touched by `init` and, after it, on the log's queue.
    private let path: String?
    private var descriptor: Int32
    private let journal: Journal?
    let hasJournal: Bool

    init(file: String?, journal: String?) throws(LogFileError) {
        path = file
        descriptor = try Self.open(file)
        self.journal = journal.flatMap { Journal(path: $0) }
        hasJournal = self.journal != nil
    }

    /// false: there is no journal, or it did not take it.
    func tell(_ entry: [UInt8]?) -> Bool {
        guard let journal, let entry else { return false }
        return journal.send(entry)
    }

    deinit { if path != nil { _ = close(descriptor) } }

    var isTerminal: Bool { isatty(descriptor) == 1 }

    func reopen() throws(LogFileError) {
        guard path != nil else { return }
        let fresh = try Self.open(path)
        _ = close(descriptor)
        descriptor = fresh
    }

    /// Why not everything was written; nil: it was.
    func write(_ bytes: [UInt8]) -> String? {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // A terminal that another process made non-blocking.
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                if poll(&waiting, 1, 5_000) == 0 { return "the log's reader has not read for 5 s" }
            } else if errno != EINTR {
                return "cannot write the log: \(String(cString: strerror(errno)))"
            }
        }
        return nil
    }

    private static func open(_ file: String?) throws(LogFileError) -> Int32 {
        guard let file else { return STDERR_FILENO }
        let descriptor = Glibc.open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw LogFileError(path: file, errno: errno) }
        return descriptor
    }
}
