import CLinux
import Glibc
import JobCore

/// One child: its socket, its output, its end. Reports by closures, decides nothing. Confined
/// to the loop.
final class WorkerProcess {
    enum Stream: String, Sendable { case stdout, stderr }

    struct Handlers {
        /// What came at once, in order.
        var frames: ([WorkerFrame]) -> Void
        /// One line of output, without its end.
        var line: (Stream, [UInt8]) -> Void
        /// It talks nonsense, or does not read: to be killed.
        var broken: (String) -> Void
        /// Reaped; everything it had sent and printed has been reported before.
        var exited: (ChildExit) -> Void
    }

    /// Bytes that may wait for a worker which does not read.
    static let longestBacklog = 32 << 20
    /// The size of the loop's scratch.
    static let readSize = 64 << 10
    /// From the end of its socket to the kill, for a child that does not end.
    static let silentLimit: Duration = .seconds(1)

    let pid: Int32
    let startTime: UInt64
    let startedAt: Instant
    private let loop: EventLoop
    private let reaper: Reaper
    private let handlers: Handlers
    private var wire: Channel
    private var outputs: [Stream: Channel] = [:]
    private var splitters: [Stream: LineSplitter] = [.stdout: LineSplitter(), .stderr: LineSplitter()]
    private var decoder = FrameDecoder<WorkerFrame>()
    private(set) var isBroken = false
    private var hasExited = false

    private var encoder = FrameEncoder()
    private var backlog: [UInt8] = []
    private var backlogStart = 0

    private var tail: [UInt8] = []
    /// The line with which a runtime says why it aborts; a long backtrace may follow it.
    private var fatalLine: [UInt8]?
    /// The next line belongs to it.
    private var fatalGoesOn = false

    /// A descriptor with its watch and its rate.
    private struct Channel {
        var fd: Int32
        var token: EventLoop.WatchToken?
        var throttle: Throttle
        var resume: EventLoop.TimerToken?
    }

    /// Starts the process. On an error nothing is left of it.
    init(
        spawner: Spawner, environment: [String: String], user: String?, sandbox: [String] = [], loop: EventLoop,
        reaper: Reaper, handlers: Handlers
    ) throws(HostFault) {
        let child = try spawner.spawn(environment: environment, user: user, sandbox: sandbox)
        let now = loop.now()
        pid = child.pid
        startTime = child.startTime
        startedAt = now.wall
        self.loop = loop
        self.reaper = reaper
        self.handlers = handlers
        wire = Channel(fd: child.socket, throttle: Throttle(bytesPerSecond: 64 << 20, burst: 4 << 20, now: now.monotonic))
        for (stream, fd) in [(Stream.stdout, child.out), (.stderr, child.err)] {
            outputs[stream] = Channel(fd: fd, throttle: Throttle(bytesPerSecond: 8 << 20, burst: 1 << 20, now: now.monotonic))
        }
        do {
            try reaper.adopt(pid: pid, pidfd: child.pidfd, group: child.group) { [self] in exited($0) }
        } catch {
            TreeKiller.kill(pid: pid, pidfd: child.pidfd)
            var ignored = cl_exit()
            var death = pollfd(fd: child.pidfd, events: Int16(POLLIN), revents: 0)
            while cl_reap_pidfd(child.pidfd, &ignored) == 0 { _ = poll(&death, 1, -1) }
            close(child.pidfd)
            if let group = child.group { reaper.empty(group) }
            closeAll()
            throw error
        }
        watchWire()
        watchOutput(.stdout)
        watchOutput(.stderr)
    }

    // MARK: Writing

    /// Adds a frame to the next `flush`. An error: it does not fit a frame; nothing was added.
    func append(_ frame: HostFrame) throws(WireError) { try encoder.append(frame) }

    /// Writes what was appended, now or when the worker reads.
    func flush() {
        if !encoder.isEmpty {
            backlog += encoder.bytes
            encoder.removeAll()
        }
        write()
        if backlog.count - backlogStart > Self.longestBacklog { breakOff("does not read what it is sent") }
    }

    private func write() {
        while wire.fd >= 0, backlogStart < backlog.count {
            let sent = backlog.withUnsafeBytes { bytes in
                send(wire.fd, bytes.baseAddress! + backlogStart, bytes.count - backlogStart, Int32(MSG_NOSIGNAL))
            }
            if sent < 0 {
                if errno == EINTR { continue }
                // Anything but a full buffer: the worker is going, its end is reported apart.
                if errno != EAGAIN { dropBacklog() }
                break
            }
            backlogStart += sent
        }
        if backlogStart == backlog.count { dropBacklog() }
        if let token = wire.token { loop.rewatch(token, events: interest) }
    }

    private func dropBacklog() {
        backlog.removeAll(keepingCapacity: backlog.count < 1 << 20)
        backlogStart = 0
    }

    private var interest: EventLoop.IOEvents { backlog.isEmpty ? .readable : [.readable, .writable] }

    // MARK: Reading the wire

    private func watchWire() {
        guard wire.fd >= 0, wire.token == nil else { return }
        do {
            wire.token = try loop.watch(fd: wire.fd, events: interest) { [weak self] events in
                guard let self else { return }
                if events.contains(.writable) { write() }
                if events.contains(.readable) || events.contains(.hangup) { readWire() }
            }
        } catch { breakOff("cannot be watched: \(error)") }
    }

    private func readWire() {
        let now = loop.now().monotonic
        let allowed = wire.throttle.allowance(now)
        if allowed == 0 { return pauseWire() }
        let count = recv(wire.fd, loop.scratch.baseAddress, min(allowed, Self.readSize), 0)
        if count < 0 {
            if errno != EAGAIN && errno != EINTR { closeWire() }
            return
        }
        if count == 0 { return closeWire() }
        wire.throttle.spend(count)
        decode(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
    }

    private func decode(_ bytes: UnsafeRawBufferPointer) {
        guard !isBroken else { return }
        decoder.append(bytes)
        var frames: [WorkerFrame] = []
        var problem: WireError?
        do {
            while let frame = try decoder.next() { frames.append(frame) }
        } catch { problem = error }
        if !frames.isEmpty { handlers.frames(frames) }
        if let problem { breakOff("\(problem)") }
    }

    private func breakOff(_ problem: String) {
        guard !isBroken else { return }
        isBroken = true
        handlers.broken(problem)
    }

    /// For a frame that is well formed and makes no sense.
    func reject(_ problem: String) { breakOff(problem) }

    private func pauseWire() {
        guard let token = wire.token else { return }
        loop.unwatch(token)
        wire.token = nil
        wire.resume = loop.timer(at: wire.throttle.resumeAt) { [weak self] in self?.watchWire() }
    }

    private func closeWire() {
        if let token = wire.token { loop.unwatch(token) }
        if let timer = wire.resume { loop.cancel(timer) }
        wire.token = nil
        guard wire.fd >= 0 else { return }
        close(wire.fd)
        wire.fd = -1
        dropBacklog()
        guard !hasExited else { return }
        // It ends in a moment, or has closed the socket and lives on.
        loop.timer(after: Self.silentLimit) { [weak self] in
            guard let self, !hasExited else { return }
            breakOff("closed its socket and did not end")
        }
    }

    // MARK: Reading the output

    private func watchOutput(_ stream: Stream) {
        guard let channel = outputs[stream], channel.token == nil else { return }
        // Not to be watched now: tried again at the next pause's end.
        let token = try? loop.watch(fd: channel.fd, events: .readable) { [weak self] _ in self?.readOutput(stream) }
        outputs[stream]?.token = token
        if token == nil { resumeOutput(stream, at: loop.now().monotonic + .milliseconds(100)) }
    }

    private func readOutput(_ stream: Stream) {
        guard let allowed = outputs[stream]?.throttle.allowance(loop.now().monotonic) else { return }
        if allowed == 0 { return pauseOutput(stream) }
        if takeOutput(stream, limit: min(allowed, Self.readSize)) == .ended { closeOutput(stream) }
    }

    private enum Taken { case some, none, ended }

    private func takeOutput(_ stream: Stream, limit: Int) -> Taken {
        guard let channel = outputs[stream] else { return .ended }
        let count = read(channel.fd, loop.scratch.baseAddress, min(limit, Self.readSize))
        if count < 0 { return errno == EAGAIN || errno == EINTR ? .none : .ended }
        if count == 0 { return .ended }
        outputs[stream]?.throttle.spend(count)
        let bytes = UnsafeRawBufferPointer(rebasing: loop.scratch[..<count])
        remember(bytes)
        splitters[stream]?.split(bytes) { emit(stream, $0) }
        return .some
    }

    private func emit(_ stream: Stream, _ line: [UInt8]) {
        if stream == .stderr { listenForConfession(line) }
        handlers.line(stream, line)
    }

    private func listenForConfession(_ line: [UInt8]) {
        if fatalGoesOn, let begun = fatalLine {
            fatalLine = begun + [UInt8(ascii: " ")] + line.drop { $0 == UInt8(ascii: " ") }
            fatalGoesOn = false
        } else if fatalLine == nil, Confession.isIn(line) {
            fatalLine = line
            fatalGoesOn = Confession.goesOn(after: line)
        }
    }

    /// Takes what the worker has printed up to now, at most what its pipes hold, so that it
    /// belongs to the run that ends here.
    func drainOutput(limit: Int = readSize) {
        for stream in [Stream.stdout, .stderr] {
            var left = limit
            while left > 0, takeOutput(stream, limit: min(left, Self.readSize)) == .some { left -= Self.readSize }
            splitters[stream]?.flush { emit(stream, $0) }
        }
    }

    private func pauseOutput(_ stream: Stream) {
        guard let channel = outputs[stream], let token = channel.token else { return }
        loop.unwatch(token)
        outputs[stream]?.token = nil
        resumeOutput(stream, at: channel.throttle.resumeAt)
    }

    private func resumeOutput(_ stream: Stream, at due: MonotonicInstant) {
        outputs[stream]?.resume = loop.timer(at: due) { [weak self] in self?.watchOutput(stream) }
    }

    private func closeOutput(_ stream: Stream) {
        guard let channel = outputs.removeValue(forKey: stream) else { return }
        if let token = channel.token { loop.unwatch(token) }
        if let timer = channel.resume { loop.cancel(timer) }
        close(channel.fd)
    }

    private func remember(_ bytes: UnsafeRawBufferPointer) {
        tail += bytes.suffix(2_048)
        if tail.count > 8_192 { tail.removeFirst(tail.count - 2_048) }
    }

    /// Why it aborted, as its runtime said, and the end of what it printed.
    var lastWords: String {
        let fatal = fatalLine.map { String(decoding: $0, as: UTF8.self) + "\n" } ?? ""
        return fatal + String(decoding: tail.suffix(2_048), as: UTF8.self)
    }

    /// A new run begins: what was printed before is not its last words.
    func forgetWords() {
        tail = []
        fatalLine = nil
        fatalGoesOn = false
    }

    // MARK: The end

    func killTree() { reaper.killTree(pid) }

    private func exited(_ status: ChildExit) {
        hasExited = true
        drainWire()
        drainOutput(limit: 1 << 20)
        closeAll()
        handlers.exited(status)
    }

    /// What it had sent before it ended: its result may be there.
    private func drainWire() {
        for _ in 0..<64 where wire.fd >= 0 {
            let count = recv(wire.fd, loop.scratch.baseAddress, Self.readSize, 0)
            if count <= 0 { return }
            decode(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
        }
    }

    private func closeAll() {
        closeWire()
        closeOutput(.stdout)
        closeOutput(.stderr)
    }
}
