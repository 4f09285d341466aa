import CLinux
import Glibc
import JobCore
import Synchronization

/// The logs of runs, one file of JSON lines each: `<state_dir>/logs/<job>/<run>.log`, made with
/// the first line, at most about 1 MB: the first 512 KiB and the last 512 KiB. A thread of its
/// own writes; no caller waits for the disk, and what is not yet written is bounded by the same
/// megabyte. Every method may be called from any thread.
public final class RunLogs: Sendable {
    public struct Slice: Sendable {
        /// Whole lines, unless one line is longer than was asked for.
        public var bytes: [UInt8]
        /// Where to go on.
        public var next: Int64
        /// The run has ended and this is its end.
        public var ended: Bool
    }

    private struct Open {
        var job: String
        var budget: LogBudget
        var fd: Int32 = -1
        var scheduled = false
        var closing = false
    }
    private struct Between {
        var pending: [UInt8] = []
        var dropped = 0
        var scheduled = false
    }
    private struct State {
        var open: [RunID: Open] = [:]
        var between: [String: Between] = [:]
    }

    /// A run of very many attempts (a snoozed one): its file is put aside once, at this size.
    static let rotateAt = 2 << 20
    /// A worker's output between runs: rotated once at this size.
    static let betweenLimit = 1 << 20

    private let folder: String
    private let clock: any TimeSource
    private let state = Mutex(State())
    private let writer: EventLoop

    /// `folder` is `<state_dir>/logs`; made when the first line comes.
    public init(stateDir: String, clock: any TimeSource = SystemClock()) throws(HostFault) {
        folder = stateDir + "/logs"
        self.clock = clock
        writer = try EventLoop(clock: clock)
        try writer.start(name: "logs")
    }

    /// Writes everything that was appended, then ends the writer. Nothing may be appended after.
    public func shutdown() {
        writer.stop()
        writer.join()
    }

    deinit { writer.stop() }

    // MARK: Writing

    public func append(run: RunID, job: String, _ line: LogLine) {
        let logged = LoggedRun(run, job: job)
        let bytes = line.json(of: logged)
        let schedule = state.withLock { state in
            if state.open[run] == nil {
                let path = path(job: job, run: run)
                var existing = Self.size(of: path)
                if existing >= Self.rotateAt {
                    existing = 0
                    writer.post { rename(path, path + ".1") }
                }
                state.open[run] = Open(job: job, budget: LogBudget(of: logged, existing: existing))
            }
            // Taken out while it is changed, so that its buffers are not copied.
            guard var open = state.open.removeValue(forKey: run) else { return false }
            open.closing = false
            let due = open.budget.add(bytes) && !open.scheduled
            if due { open.scheduled = true }
            state.open[run] = open
            return due
        }
        if schedule { writer.post { [weak self] in self?.write(run) } }
    }

    /// The attempt is over: the tail goes to the file.
    public func close(run: RunID) {
        let known = state.withLock { state in
            guard state.open[run] != nil else { return false }
            state.open[run]?.closing = true
            return true
        }
        if known { writer.post { [weak self] in self?.finish(run) } }
    }

    /// What a worker prints between runs: `<state_dir>/logs/_workers/<plugin>.log`.
    public func appendBetweenRuns(plugin: String, _ line: LogLine) {
        let bytes = line.json()
        let schedule = state.withLock { state in
            var between = state.between.removeValue(forKey: plugin) ?? Between()
            if between.pending.count + bytes.count > Self.betweenLimit / 4 {
                between.dropped += 1
            } else {
                between.pending += bytes
            }
            let due = !between.scheduled
            between.scheduled = true
            state.between[plugin] = between
            return due
        }
        if schedule { writer.post { [weak self] in self?.writeBetween(plugin) } }
    }

    public func remove(job: String, run: RunID) {
        let path = path(job: job, run: run)
        writer.post {
            unlink(path)
            unlink(path + ".1")
        }
    }

    // MARK: Reading

    /// Up to `limit` bytes from `offset`; both are clamped to what makes sense. A run without a
    /// log, or of another job, reads as empty and ended.
    public func read(job: String, run: RunID, from offset: Int64, limit: Int) -> Slice {
        // Looked at before the file: what is written between the two looks is read next time.
        let isOpen = state.withLock { $0.open[run] != nil }
        let start = max(0, offset)
        var slice = Slice(bytes: [], next: start, ended: !isOpen)
        let fd = cl_open(path(job: job, run: run), O_RDONLY | O_NOFOLLOW, 0)
        guard fd >= 0 else { return slice }
        defer { Glibc.close(fd) }
        let wanted = max(1, min(limit, 4 << 20))
        var buffer = [UInt8](repeating: 0, count: wanted)
        var count = 0
        while count < wanted {
            let got = buffer.withUnsafeMutableBytes { pread(fd, $0.baseAddress! + count, wanted - count, off_t(start) + off_t(count)) }
            if got <= 0 { break }
            count += got
        }
        let atEnd = count < wanted
        if let newline = buffer[..<count].lastIndex(of: UInt8(ascii: "\n")) { count = newline + 1 }
        slice.bytes = Array(buffer[..<count])
        slice.next = start.saturatingAdd(Int64(count))
        slice.ended = !isOpen && atEnd
        return slice
    }

    // MARK: On the writer's thread

    private func write(_ run: RunID) {
        let (bytes, job, fd) = state.withLock { state in
            state.open[run]?.scheduled = false
            return (state.open[run]?.budget.takeReady() ?? [], state.open[run]?.job ?? "", state.open[run]?.fd ?? -1)
        }
        if bytes.isEmpty { return }
        let file = fd >= 0 ? fd : open(path(job: job, run: run))
        guard file >= 0 else { return }
        Self.writeAll(file, bytes)
        state.withLock { $0.open[run]?.fd = file }
    }

    private func finish(_ run: RunID) {
        write(run)
        let now = clock.now().wall
        let (bytes, job, fd) = state.withLock { state in
            guard state.open[run]?.closing == true else { return ([UInt8](), "", Int32(-1)) }
            return (state.open[run]?.budget.takeTail(now: now) ?? [], state.open[run]?.job ?? "", state.open[run]?.fd ?? -1)
        }
        if !bytes.isEmpty {
            let file = fd >= 0 ? fd : open(path(job: job, run: run))
            if file >= 0 {
                Self.writeAll(file, bytes)
                state.withLock { $0.open[run]?.fd = file }
            }
        }
        let done = state.withLock { state in
            // Appended to meanwhile: a next attempt goes on in the same file.
            guard let open = state.open[run], open.closing else { return Int32(-1) }
            state.open[run] = nil
            return open.fd
        }
        if done >= 0 { Glibc.close(done) }
    }

    private func writeBetween(_ plugin: String) {
        let (bytes, dropped) = state.withLock { state in
            let between = state.between[plugin] ?? Between()
            state.between[plugin] = nil
            return (between.pending, between.dropped)
        }
        let path = folder + "/_workers/" + Self.component(plugin) + ".log"
        if Self.size(of: path) >= Self.betweenLimit { rename(path, path + ".1") }
        let file = open(path)
        guard file >= 0 else { return }
        Self.writeAll(file, bytes)
        if dropped > 0 {
            let note = LogLine(at: clock.now().wall, level: .info, stream: .host, text: "… \(dropped) lines left out …")
            Self.writeAll(file, note.json())
        }
        Glibc.close(file)
    }

    private func open(_ path: String) -> Int32 {
        let flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW
        let file = cl_open(path, flags, 0o640)
        if file != -ENOENT { return file }
        let parent = path.split(separator: "/").dropLast().joined(separator: "/")
        mkdir(folder, 0o750)
        mkdir("/" + parent, 0o750)
        return cl_open(path, flags, 0o640)
    }

    // MARK: Files

    func path(job: String, run: RunID) -> String { "\(folder)/\(Self.component(job))/\(run.value).log" }

    /// A name as one path component, whatever it holds: what is not a letter, digit, '-', '_' or
    /// '.', and a '.' or '_' in front, is written as %XX.
    static func component(_ name: String) -> String {
        var out = ""
        for (index, byte) in name.utf8.enumerated() {
            let character = Character(UnicodeScalar(byte))
            let plain = byte < 0x80 && (character.isLetter || character.isNumber || character == "-")
            let inside = index > 0 && (character == "." || character == "_")
            out += plain || inside ? String(character) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
        // Names of files end at 255 bytes.
        if out.isEmpty { return "%" }
        return out.utf8.count <= 200 ? out : SHA256.hex(of: Array(name.utf8))
    }

    private static func size(of path: String) -> Int {
        var info = Glibc.stat()
        return lstat(path, &info) == 0 ? Int(info.st_size) : 0
    }

    private static func writeAll(_ fd: Int32, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            var done = 0
            while done < bytes.count {
                let count = Glibc.write(fd, bytes.baseAddress! + done, bytes.count - done)
                if count < 0, errno == EINTR { continue }
                // A full disk costs log lines, never a run.
                if count <= 0 { return }
                done += count
            }
        }
    }
}
