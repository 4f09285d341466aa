import CLinux
import Glibc
import JobCore

/// One child: its socket, its output, its end. Reports by closures, decides nothing. Confined
/// to the loop.
final class WorkerProcess {
    struct Handlers {
        /// What came at once, in order.
        var frames: ([WorkerFrame]) -> Void
        /// One line of output, without its end.
        var line: (OutputStream, [UInt8]) -> Void
        /// It talks nonsense, or does not read: to be killed.
        var broken: (String) -> Void
        /// Reaped; everything it had sent and printed has been reported before.
        var exited: (ChildExit) -> Void
        /// Whether what it prints can only be of one run now, or of none.
        var isAlone: () -> Bool = { true }
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
    let output: WorkerOutput
    let slate: Slate?
    private var decoder = FrameDecoder<WorkerFrame>()
    /// Bytes of its frames so far.
    private var received: UInt64 = 0
    private(set) var isBroken = false
    private var hasExited = false

    private var encoder = FrameEncoder()
    private var backlog: [UInt8] = []
    private var backlogStart = 0

    /// A descriptor with its watch and its rate.
    private struct Channel {
        var fd: Int32
        var token: EventLoop.WatchToken?
        var throttle: Throttle
        var resume: EventLoop.TimerToken?
    }

    /// Starts the process. On an error nothing is left of it.
    init(
        spawner: Spawner, environment: [String: String], user: String?, sandbox: [String] = [], slate: Slate? = nil,
        loop: EventLoop, reaper: Reaper, handlers: Handlers
    ) throws(HostFault) {
        let child = try spawner.spawn(environment: environment, user: user, sandbox: sandbox, slate: slate?.descriptor)
        slate?.closeDescriptor()
        let now = loop.now()
        pid = child.pid
        startTime = child.startTime
        startedAt = now.wall
        self.loop = loop
        self.reaper = reaper
        self.handlers = handlers
        wire = Channel(fd: child.socket, throttle: Throttle(bytesPerSecond: 64 << 20, burst: 4 << 20, now: now.monotonic))
        output = WorkerOutput(
            out: child.out, err: child.err, slate: slate, loop: loop, isAlone: handlers.isAlone, line: handlers.line)
        self.slate = slate
        do {
            // Nobody could be told yet that it cannot be.
            try startWatchingWire()
            try reaper.adopt(pid: pid, pidfd: child.pidfd, group: child.group) { [self] in exited($0) }
        } catch {
            reaper.discard(pid: pid, pidfd: child.pidfd, group: child.group)
            closeAll()
            throw error
        }
        output.start()
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
        do { try startWatchingWire() } catch { breakOff("cannot be watched: \(error)") }
    }

    private func startWatchingWire() throws(HostFault) {
        wire.token = try loop.watch(fd: wire.fd, events: interest) { [weak self] events in
            guard let self else { return }
            if events.contains(.writable) { write() }
            if events.contains(.readable) || events.contains(.hangup) { readWire() }
        }
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

    private func decode(_ bytes: UnsafeRawBufferPointer, breaksOff: Bool = true) {
        received += UInt64(bytes.count)
        guard !isBroken else { return }
        decoder.append(bytes)
        var frames: [WorkerFrame] = []
        var problem: WireError?
        do {
            while let frame = try decoder.next() { frames.append(frame) }
        } catch { problem = error }
        if !frames.isEmpty { handlers.frames(frames) }
        if let problem, breaksOff { breakOff("\(problem)") }
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
            hearUnsent()
            breakOff("closed its socket and did not end")
        }
    }

    // MARK: The end

    func killTree() { reaper.killTree(pid) }

    private func exited(_ status: ChildExit) {
        hasExited = true
        drainWire()
        output.handOnAll(limit: 1 << 20)
        closeAll()
        handlers.exited(status)
    }

    /// What it had sent before it ended, and what it was about to send: its result may be there.
    private func drainWire() {
        for _ in 0..<64 where wire.fd >= 0 {
            let count = recv(wire.fd, loop.scratch.baseAddress, Self.readSize, 0)
            if count <= 0 { break }
            decode(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
        }
        hearUnsent()
    }

    /// What it was about to write and never will: it has ended, or its socket has. Where that makes no sense, the
    /// slate still tells which of its runs had begun.
    private func hearUnsent() {
        guard let unsent = slate?.unsent(after: received), !unsent.isEmpty else { return }
        unsent.withUnsafeBytes { decode($0, breaksOff: false) }
    }

    private func closeAll() {
        closeWire()
        output.closeAll()
    }
}
