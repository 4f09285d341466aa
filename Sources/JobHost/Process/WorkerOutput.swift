import Glibc
import JobCore

enum OutputStream: String, CaseIterable, Sendable { case stdout, stderr }

/// One stream of a worker, cut at the ends of runs. Pure.
struct OutputCut {
    /// Read, and nobody's yet.
    private var pending: [UInt8] = []
    /// Bytes that have become somebody's.
    private var given: Int64 = 0

    /// Bytes that are nobody's yet.
    var waiting: Int { pending.count }
    mutating func append(_ bytes: UnsafeRawBufferPointer) { pending += bytes }

    /// How much is still to be read up to an offset.
    func missing(to offset: Int64) -> Int { Int(clamping: max(0, offset - given - Int64(pending.count))) }

    /// What was written before an offset.
    mutating func take(to offset: Int64) -> [UInt8] { take(Int(clamping: min(Int64(pending.count), max(0, offset - given)))) }
    mutating func takeAll() -> [UInt8] { take(pending.count) }

    private mutating func take(_ count: Int) -> [UInt8] {
        guard count > 0 else { return [] }
        given += Int64(count)
        if count == pending.count {
            defer { pending = [] }
            return pending
        }
        defer { pending.removeFirst(count) }
        return Array(pending[..<count])
    }
}

/// What a worker prints: read at a limited rate, cut into lines, and handed on when it is known
/// which run it is of. That is so when only one can be, else at the run's end, whose frame says
/// how much had been written by then. Confined to the loop.
final class WorkerOutput {
    /// The most that is kept of short runs before one of their ends tells whose it is; then the
    /// worker waits.
    static let mostWaiting = 256 << 10
    private static let pause: Duration = .milliseconds(20)

    private final class Channel {
        /// -1: it has ended.
        var fd: Int32
        var token: EventLoop.WatchToken?
        var throttle: Throttle
        var resume: EventLoop.TimerToken?
        var cut = OutputCut()
        var splitter = LineSplitter()
        init(fd: Int32, throttle: Throttle) {
            self.fd = fd
            self.throttle = throttle
        }
    }
    private let loop: EventLoop
    private let slate: Slate?
    // Two fields: they are looked at several times for each run. nil: closed.
    private var out: Channel?
    private var err: Channel?
    /// Whether what is printed now can only be of one run, or of none.
    private let isAlone: () -> Bool
    private let line: (OutputStream, [UInt8]) -> Void
    private var words = LastWords()

    /// Owns the descriptors.
    init(
        out: Int32, err: Int32, slate: Slate?, loop: EventLoop, isAlone: @escaping () -> Bool,
        line: @escaping (OutputStream, [UInt8]) -> Void
    ) {
        self.loop = loop
        self.slate = slate
        self.isAlone = isAlone
        self.line = line
        let now = loop.now().monotonic
        func channel(_ fd: Int32) -> Channel { Channel(fd: fd, throttle: Throttle(bytesPerSecond: 8 << 20, burst: 1 << 20, now: now)) }
        (self.out, self.err) = (channel(out), channel(err))
    }

    private func channel(_ stream: OutputStream) -> Channel? {
        switch stream {
        case .stdout: out
        case .stderr: err
        }
    }

    func start() {
        for stream in OutputStream.allCases { watch(stream) }
    }

    /// Why it aborted, as its runtime said, and the end of what it printed.
    var lastWords: String { words.text }

    // MARK: Whose it is

    /// A run begins: what was printed before is not its last words.
    func runBegan() {
        words = LastWords()
        settle()
    }

    /// A run has ended: what was written up to there is its.
    func runEnded(_ written: WrittenOutput) {
        finishRun(.stdout, written.stdout)
        finishRun(.stderr, written.stderr)
    }

    /// Bytes: the default of `/proc/sys/fs/pipe-max-size`.
    private static let largestPipe = 1 << 20

    private func finishRun(_ stream: OutputStream, _ offset: Int64) {
        guard offset >= 0 else { return handOn(stream) }
        // What is still in the pipe, and no more than that: the place is the worker's word.
        var left = Self.largestPipe
        while left > 0, let missing = channel(stream)?.cut.missing(to: offset), missing > 0 {
            guard take(stream, limit: min(missing, left)) == .some else { break }
            left -= WorkerProcess.readSize
        }
        if let bytes = channel(stream)?.cut.take(to: offset) { emit(stream, bytes) }
        flush(stream)
    }

    /// What is there now, up to what a pipe holds and more, belongs where lines go at present.
    func handOnAll(limit: Int = WorkerProcess.readSize) {
        for stream in OutputStream.allCases { handOn(stream, limit: limit) }
    }

    private func handOn(_ stream: OutputStream, limit: Int = WorkerProcess.readSize) {
        var left = limit
        while left > 0, take(stream, limit: left) == .some { left -= WorkerProcess.readSize }
        if let bytes = channel(stream)?.cut.takeAll() { emit(stream, bytes) }
        flush(stream)
    }

    /// Looked at again: a run has begun, or one that waited has gone.
    func settle() {
        for stream in OutputStream.allCases where channel(stream)?.cut.waiting ?? 0 > 0 && isAlone() {
            if let bytes = channel(stream)?.cut.takeAll() { emit(stream, bytes) }
        }
    }

    private func emit(_ stream: OutputStream, _ bytes: [UInt8]) { bytes.withUnsafeBytes { emit(stream, $0) } }

    private func emit(_ stream: OutputStream, _ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        words.remember(bytes)
        channel(stream)?.splitter.split(bytes) { emitLine(stream, $0) }
    }

    private func flush(_ stream: OutputStream) { channel(stream)?.splitter.flush { emitLine(stream, $0) } }

    private func emitLine(_ stream: OutputStream, _ text: [UInt8]) {
        if stream == .stderr { words.hear(text) }
        line(stream, text)
    }

    // MARK: Reading

    private func watch(_ stream: OutputStream) {
        guard let channel = channel(stream), channel.fd >= 0, channel.token == nil else { return }
        // Not to be watched now: tried again at the next pause's end.
        let token = try? loop.watch(fd: channel.fd, events: .readable) { [weak self] _ in self?.read(stream) }
        channel.token = token
        if token == nil { resume(stream, at: loop.now().monotonic + .milliseconds(100)) }
    }

    private func read(_ stream: OutputStream) {
        let now = loop.now().monotonic
        guard let allowed = channel(stream)?.throttle.allowance(now) else { return }
        if allowed == 0, let due = channel(stream)?.throttle.resumeAt { return rest(stream, until: due) }
        settle()
        if let waiting = channel(stream)?.cut.waiting, waiting >= Self.mostWaiting {
            return rest(stream, until: now + Self.pause)
        }
        if take(stream, limit: allowed) == .ended { return end(stream) }
        settle()
    }

    private enum Taken { case some, none, ended }

    private func take(_ stream: OutputStream, limit: Int) -> Taken {
        guard let fd = channel(stream)?.fd, fd >= 0 else { return .ended }
        let scratch = loop.scratch.baseAddress
        let most = min(limit, WorkerProcess.readSize)
        let count: Int
        if let slate {
            count = slate.reading(stream == .stdout ? 0 : 1) { Glibc.read(fd, scratch, most) }
        } else {
            count = Glibc.read(fd, scratch, most)
        }
        if count < 0 { return errno == EAGAIN || errno == EINTR ? .none : .ended }
        if count == 0 { return .ended }
        channel(stream)?.throttle.spend(count)
        channel(stream)?.cut.append(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
        return .some
    }

    private func rest(_ stream: OutputStream, until due: MonotonicInstant) {
        guard let token = channel(stream)?.token else { return }
        loop.unwatch(token)
        channel(stream)?.token = nil
        resume(stream, at: due)
    }

    private func resume(_ stream: OutputStream, at due: MonotonicInstant) {
        channel(stream)?.resume = loop.timer(at: due) { [weak self] in self?.watch(stream) }
    }

    /// Nothing more will be printed there. Whose the last of it is may still be told.
    private func end(_ stream: OutputStream) {
        settle()
        guard let channel = channel(stream), channel.fd >= 0 else { return }
        if let token = channel.token { loop.unwatch(token) }
        if let timer = channel.resume { loop.cancel(timer) }
        Glibc.close(channel.fd)
        (channel.fd, channel.token, channel.resume) = (-1, nil, nil)
    }

    func closeAll() {
        for stream in OutputStream.allCases {
            handOn(stream)
            end(stream)
        }
        (out, err) = (nil, nil)
    }
}

/// The end of what a run printed, and the line with which a runtime says why it aborts, which
/// may be followed by a long backtrace. Pure.
struct LastWords {
    private var tail: [UInt8] = []
    private var fatalLine: [UInt8]?
    /// The next line belongs to it.
    private var fatalGoesOn = false

    mutating func remember(_ bytes: UnsafeRawBufferPointer) {
        tail += bytes.suffix(2_048)
        if tail.count > 8_192 { tail.removeFirst(tail.count - 2_048) }
    }

    mutating func hear(_ line: [UInt8]) {
        if fatalGoesOn, let begun = fatalLine {
            fatalLine = begun + [UInt8(ascii: " ")] + line.drop { $0 == UInt8(ascii: " ") }
            fatalGoesOn = false
        } else if fatalLine == nil, Confession.isIn(line) {
            fatalLine = line
            fatalGoesOn = Confession.goesOn(after: line)
        }
    }

    var text: String {
        let fatal = fatalLine.map { String(decoding: $0, as: UTF8.self) + "\n" } ?? ""
        return fatal + String(decoding: tail.suffix(2_048), as: UTF8.self)
    }
}
