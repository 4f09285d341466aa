import CLinux
import Glibc
import JobCore
import JobTestKit
import Synchronization
import Testing

@testable import JobHost

@Suite(.timeLimit(.minutes(5))) struct EventLoopTests {
    /// A loop that ends with the test.
    static func onLoop(_ body: (EventLoop) async throws -> Void) async throws {
        let loop = try EventLoop()
        try loop.start()
        defer {
            loop.stop()
            loop.join()
        }
        try await body(loop)
    }

    @Test func workRunsInTheOrderOfPostingOnTheLoopsThread() async throws {
        try await Self.onLoop { loop in
            let seen = Mutex<[Int]>([])
            #expect(!loop.isOnLoop)
            await withCheckedContinuation { continuation in
                for number in 0..<1_000 {
                    loop.post {
                        if loop.isOnLoop { seen.withLock { $0.append(number) } }
                        if number == 999 { continuation.resume() }
                    }
                }
            }
            #expect(seen.withLock { $0 } == Array(0..<1_000))
        }
    }

    @Test func timersFireInTheOrderOfTheirTimesEqualOnesAsMade() async throws {
        try await Self.onLoop { loop in
            let order: [Int] = await withCheckedContinuation { continuation in
                loop.post {
                    var order: [Int] = []
                    let start = loop.now().monotonic
                    let near = start + .milliseconds(5)
                    loop.timer(at: start + .milliseconds(10)) {
                        order.append(4)
                        continuation.resume(returning: order)
                    }
                    for number in 1...3 { loop.timer(at: near) { order.append(number) } }
                    let cancelled = loop.timer(at: near) { order.append(9) }
                    loop.cancel(cancelled)
                }
            }
            #expect(order == [1, 2, 3, 4])
        }
    }

    @Test func aTimerFiresNeitherBeforeItsTimeNorMuchLater() async throws {
        try await Self.onLoop { loop in
            let late: Duration = await withCheckedContinuation { continuation in
                loop.post {
                    let due = loop.now().monotonic + .microseconds(1_500)
                    loop.timer(at: due) { continuation.resume(returning: loop.now().monotonic - due) }
                }
            }
            #expect(late >= .zero)
        }
    }

    @Test func aStepOfTheClockThatIsHeardOfWhereTheTimerIsArmedIsTold() async throws {
        let loop = try EventLoop()
        let steps = Atomic<Int>(0)
        loop.system.arm = { timer, wall, microseconds in
            let result = cl_timerfd_arm(timer, wall, microseconds)
            let isFirst = wall && steps.add(1, ordering: .relaxed).oldValue == 0
            return isFirst ? -ECANCELED : result
        }
        let isTold: Bool = await withCheckedContinuation { continuation in
            loop.onClockSet = { continuation.resume(returning: true) }
            do { try loop.start() } catch { continuation.resume(returning: false) }
        }
        loop.stop()
        loop.join()
        #expect(isTold)
    }

    @Test func aWallTimerFiresOnTheWallClock() async throws {
        try await Self.onLoop { loop in
            let late: Duration = await withCheckedContinuation { continuation in
                loop.post {
                    let due = loop.now().wall + .milliseconds(3)
                    loop.wallTimer(at: .distantFuture) {}
                    loop.wallTimer(at: due) { continuation.resume(returning: loop.now().wall - due) }
                }
            }
            #expect(late >= .zero)
        }
    }

    @Test func aFloodingDescriptorStarvesNeitherTimersNorWork() async throws {
        try await Self.onLoop { loop in
            var ends: [Int32] = [0, 0]
            try #require(pipe(&ends) == 0)
            let (reader, writer) = (ends[0], ends[1])
            defer {
                close(reader)
                close(writer)
            }
            // Never read: ready for ever.
            try #require(write(writer, "x", 1) == 1)
            await withCheckedContinuation { continuation in
                loop.post {
                    var token: EventLoop.WatchToken?
                    token = try? loop.watch(fd: reader, events: .readable) { _ in }
                    loop.timer(after: .milliseconds(5)) {
                        if let token { loop.unwatch(token) }
                        continuation.resume()
                    }
                }
            }
            // Work that posts itself for ever does not starve timers either.
            let stop = Atomic<Bool>(false)
            await withCheckedContinuation { continuation in
                @Sendable func again() { if !stop.load(ordering: .relaxed) { loop.post { again() } } }
                loop.post { again() }
                loop.post {
                    loop.timer(after: .milliseconds(5)) {
                        stop.store(true, ordering: .relaxed)
                        continuation.resume()
                    }
                }
            }
            let stopped = stop.load(ordering: .relaxed)
            #expect(stopped)
        }
    }

    @Test func afterUnwatchNoEventComesNotEvenOneAlreadyFetched() async throws {
        try await Self.onLoop { loop in
            var ends: [Int32] = [0, 0, 0, 0]
            let made = ends.withUnsafeMutableBufferPointer { pipe($0.baseAddress!) + pipe($0.baseAddress! + 2) }
            try #require(made == 0)
            let fds = ends
            defer { for fd in fds { close(fd) } }
            try #require(write(fds[1], "x", 1) == 1)
            try #require(write(fds[3], "x", 1) == 1)
            let calls: Int = await withCheckedContinuation { continuation in
                loop.post {
                    var tokens: [EventLoop.WatchToken] = []
                    var calls = 0
                    // Both are ready in the same turn; whichever comes first silences both.
                    for fd in [fds[0], fds[2]] {
                        let token = try? loop.watch(fd: fd, events: .readable) { _ in
                            calls += 1
                            for token in tokens { loop.unwatch(token) }
                        }
                        if let token { tokens.append(token) }
                    }
                    // The second time for certain behind a look at what is ready.
                    loop.timer(after: .milliseconds(10)) {
                        loop.timer(after: .milliseconds(10)) { continuation.resume(returning: calls) }
                    }
                }
            }
            #expect(calls == 1)
        }
    }

    private actor Guest {
        nonisolated let loop: EventLoop
        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
        private var count = 0
        init(_ loop: EventLoop) { self.loop = loop }
        func isOnLoop() -> Bool { loop.isOnLoop }
        func add() { count += 1 }
        func total() -> Int { count }
        /// Timers and posted work enter the actor without a hop.
        func addLater() async {
            await withCheckedContinuation { continuation in
                loop.timer(after: .milliseconds(1)) {
                    self.assumeIsolated { $0.add() }
                    continuation.resume()
                }
            }
        }
    }

    @Test func anActorLivesOnTheLoop() async throws {
        try await Self.onLoop { loop in
            let guest = Guest(loop)
            #expect(await guest.isOnLoop())
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<200 { group.addTask { await guest.add() } }
            }
            await guest.addLater()
            #expect(await guest.total() == 201)
        }
    }

    @Test func stopEndsTheLoopAfterWhatWasPosted() throws {
        let loop = try EventLoop()
        try loop.start()
        let count = Atomic<Int>(0)
        for _ in 0..<2_000 { loop.post { count.add(1, ordering: .relaxed) } }
        loop.stop()
        loop.join()
        let total = count.load(ordering: .relaxed)
        #expect(total == 2_000)
    }

    @Test func theTimerQueueSortsWhateverIsCancelled() {
        for seed in UInt64(1)...200 {
            var random = Seeded(seed)
            var queue = TimerQueue<UInt64>()
            var model: [(due: Int64, id: UInt64)] = []
            for id in UInt64(1)...300 {
                let due = Int64(random.below(50))
                queue.insert(id: id, due: due, id)
                model.append((due, id))
                if random.below(3) == 0 {
                    let victim = model.remove(at: random.below(model.count))
                    let (first, second) = (queue.cancel(victim.id), queue.cancel(victim.id))
                    #expect(first && !second)
                }
            }
            model.sort { ($0.due, $0.id) < ($1.due, $1.id) }
            #expect(queue.count == model.count)
            var popped: [UInt64] = []
            for now in Int64(0)...50 { while let id = queue.popDue(at: now) { popped.append(id) } }
            #expect(popped == model.map(\.id), "seed \(seed)")
        }
    }

    @Test func theManualClockMovesOnlyWhenTold() {
        let clock = ManualClock()
        let before = clock.now()
        clock.advance(by: .seconds(2))
        #expect(clock.now().wall - before.wall == .seconds(2))
        #expect(clock.now().monotonic - before.monotonic == .seconds(2))
        clock.setWall(.epoch)
        #expect(clock.now().wall == .epoch)
        #expect(clock.now().monotonic - before.monotonic == .seconds(2))
    }
}
