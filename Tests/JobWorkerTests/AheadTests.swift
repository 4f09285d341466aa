import CLinux
import Glibc
import JobCore
import Testing

/// Runs that a worker is sent ahead of their instant.
@Suite(.timeLimit(.minutes(5)))
struct AheadTests {
    private let workshop: Workshop
    private let worker: WorkerProcess
    /// The second attempt waits until it is cancelled.
    private static let run = """
        if (c->attempt == 2) {
            struct pollfd p = {.fd = c->cancel_fd(c), .events = POLLIN};
            if (poll(&p, 1, 180000) != 1) return JOB_FAILED;
        }
        return JOB_SUCCEEDED;
        """

    init() throws {
        workshop = try Workshop()
        worker = try WorkerProcess()
        _ = try worker.load(workshop.plugin(run: Self.run))
        try worker.send(.instance())
    }

    private static func now(_ delay: Duration = .zero) -> Now {
        func read(_ clock: clockid_t) -> Int64 {
            var time = timespec()
            clock_gettime(clock, &time)
            return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
        }
        let (boot, wall) = (read(CLOCK_BOOTTIME), read(CLOCK_REALTIME))
        return Now(wall: Instant(microseconds: wall) + delay, monotonic: MonotonicInstant(microseconds: boot) + delay)
    }
    private func ahead(_ run: Int64, at: Now, attempt: UInt32 = 1) -> HostFrame {
        var frame = RunFrame.go(run, attempt: attempt)
        frame.notBefore = at
        return .run(frame)
    }

    /// Until `body` says that its instants were still to come when the worker had heard of them: on a busy machine later ones.
    private func inTime(_ body: (_ delay: Duration) throws -> Bool) throws {
        var delay = Duration.milliseconds(150)
        while try !body(delay) {
            try #require(delay < .seconds(60))
            delay *= 2
        }
    }

    @Test func `It begins at its instant without another word, and what is due goes first`() throws {
        try inTime { delay in
            let instant = Self.now(delay)
            try worker.send(ahead(1, at: instant), .run(.go(2)))
            let first = try worker.untilResult()
            let isEarly = Self.now().monotonic < instant.monotonic
            let second = try worker.untilResult()
            guard isEarly else { return false }
            #expect(first.result.run == RunID(2))
            #expect(second.before == [.started(run: RunID(1))] && second.result.code == .succeeded)
            #expect(Self.now().monotonic >= instant.monotonic && second.result.startedAt >= instant.wall)
            return true
        }
    }

    @Test func `Each has its own instant, whatever came first; one that has passed is now`() throws {
        try inTime { delay in
            let soon = Self.now(delay)
            try worker.send(
                ahead(1, at: Self.now(delay * 2)), ahead(2, at: soon), ahead(3, at: soon), ahead(4, at: Self.now(.seconds(-5))))
            var order = [try worker.untilResult().result.run]
            let isEarly = Self.now().monotonic < soon.monotonic
            for _ in 0..<3 { order.append(try worker.untilResult().result.run) }
            if isEarly { #expect(order == [4, 2, 3, 1].map { RunID($0) }) }
            return isEarly
        }
    }

    @Test func `What is recalled, cancelled or left by a shutdown before its instant comes back at once and never begins`() throws {
        let far = Self.now(.seconds(600))
        try worker.send(ahead(1, at: far), ahead(2, at: far), ahead(3, at: far), .recall(run: RunID(2)))
        #expect(try worker.receive() == .returned(run: RunID(2)))
        try worker.send(.cancel(run: RunID(3)))
        #expect(try worker.receive() == .returned(run: RunID(3)))
        try worker.send(.recall(run: RunID(3)), .shutdown)
        #expect(try worker.receive() == .returned(run: RunID(1)))
        #expect(try worker.end() == .exited(0))
    }

    @Test func `A new order is carried out while runs wait for their instant`() throws {
        try worker.send(ahead(1, at: Self.now(.seconds(600))))
        for run in Int64(2)...4 {
            #expect(try worker.run(.go(run)).result.run == RunID(run))
        }
        try worker.send(.recall(run: RunID(1)))
        #expect(try worker.receive() == .returned(run: RunID(1)))
    }

    @Test func `With a slate its beginning is told in time, however long it lasts, and with its end where it is short`() throws {
        let path = workshop.folder + "/slate"
        let descriptor = cl_slate_create(path)
        defer { close(descriptor) }
        let worker = try WorkerProcess(slate: descriptor)
        _ = try worker.load(workshop.plugin(run: Self.run))
        try worker.send(.instance())
        // Behind one that is long past its instant, too.
        try worker.send(.run(.go(1, attempt: 2)))
        #expect(try worker.receive() == .started(run: RunID(1)))
        try worker.send(ahead(2, at: Self.now(.milliseconds(20)), attempt: 2), ahead(3, at: Self.now(.milliseconds(60)), attempt: 2), ahead(4, at: Self.now(.milliseconds(60))))
        for run in Int64(1)...3 {
            if run > 1 { #expect(try worker.receive() == .started(run: RunID(run))) }
            try worker.send(.cancel(run: RunID(run)))
            #expect(try worker.untilResult().result.run == RunID(run))
        }
        let last = try worker.untilResult()
        #expect(last.before == [.started(run: RunID(4))] && last.result.run == RunID(4))
    }
}
