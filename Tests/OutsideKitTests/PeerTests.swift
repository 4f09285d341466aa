import JobCore
import JobKit
import OutsideTestKit
import Testing

@testable import OutsideKit

/// One after the other: what the probe does is told by a global.
@Suite(.serialized) struct PeerTests {
    private static let quick = RetryPolicy(maxAttempts: 3, initial: .milliseconds(1), max: .milliseconds(2), jitter: 0)
    /// It counts and stays open for longer than a busy machine may stand still.
    private static let breaker = BreakerPolicy(window: .seconds(3_600), openFor: .seconds(3_600))
    private static func down(_ text: String = "down") -> CallError { CallError(.unavailable, text) }

    private final class Probe: JobEntry {
        static let info = EntryInfo(id: "probe", description: "", stateVersion: 1)
        nonisolated(unsafe) static var work: (Peer) throws -> RunOutcome = { _ in .succeeded() }
        private let peer: Peer
        init(settings: NoSettings) throws { peer = Peer("p", CallPolicy(retry: PeerTests.quick, breaker: PeerTests.breaker, inFlight: 4)) }
        func run(_ context: RunContext) throws -> RunOutcome {
            try Outside([peer]).run(context) { try Self.work(peer) }
        }
    }

    @Test func `A call is tried again until it succeeds, and counts as one success`() throws {
        let peer = Peer("p", CallPolicy(retry: Self.quick))
        var numbers: [Int] = []
        let result = try peer.call("x") { attempt in
            numbers.append(attempt.number)
            if attempt.number < 3 { throw Self.down() }
            return "ok"
        }
        #expect(result == "ok")
        #expect(numbers == [1, 2, 3])
        #expect(peer.tally.attempts == 3)
        #expect(peer.tally.failed == 0)
    }

    @Test func `Errors other than an absent answer end a call at its first attempt`() throws {
        for error in [
            CallError(.business, "no such order"), CallError(.denied, "bad key"),
            CallError(.unavailable, "sent", resultUnknown: true),
        ] {
            let peer = Peer("p", CallPolicy(retry: Self.quick))
            #expect(throws: error) { try peer.call("x") { _ in throw error } as Void }
            #expect(peer.tally.attempts == 1)
        }
        struct Own: Error {}
        let peer = Peer("p", CallPolicy(retry: Self.quick))
        #expect(throws: Own.self) { try peer.call("x") { _ in throw Own() } as Void }
    }

    @Test func `Business errors never open the breaker, failed calls do`() throws {
        let peer = Peer("p", CallPolicy(retry: Self.quick, breaker: Self.breaker))
        for _ in 0 ..< 50 { _ = try? peer.call("x") { _ in throw CallError(.business, "no") } as Void }
        #expect(peer.mode == .closed)
        for _ in 0 ..< 5 { _ = try? peer.call("x") { _ in throw Self.down() } as Void }
        guard case .open = peer.mode else { Issue.record("\(peer.mode)"); return }
        #expect(peer.tally.transitions.count == 1)
        let attempts = peer.tally.attempts
        let error = #expect(throws: CallError.self) { try peer.call("x") { _ in } }
        guard case .breakerOpen(until: .some) = error?.kind else { Issue.record("\(String(describing: error))"); return }
        #expect(peer.tally.attempts == attempts)
    }

    @Test func `The breaker's state goes from run to run, whatever the outcome`() throws {
        nonisolated(unsafe) var called = 0
        Probe.work = { peer in
            for _ in 0 ..< 5 { _ = try? peer.call("x") { _ in called += 1; throw Self.down() } as Void }
            throw JobFailure.permanent("all bad")
        }
        let first = TestRun()
        #expect(first.run(Probe.self) == .failed)
        #expect(called == 15)
        let state = try #require(first.stateAlways)
        #expect(first.stateOnSuccess == nil)

        Probe.work = { peer in
            do {
                try peer.call("x") { _ in called += 1 }
                return .succeeded()
            } catch let error as CallError {
                throw error.jobFailure
            }
        }
        let second = TestRun()
        second.state = state
        #expect(second.run(Probe.self) == .retry)
        #expect(second.text == "p: not called, its breaker is open (5 failures within 3600s, the last: failed)")
        #expect(second.notBefore != nil)
        #expect(called == 15)

        // A state that nobody can read is no state.
        let third = TestRun()
        third.state = StateValue(version: 1, bytes: Array("garbage".utf8))
        #expect(third.run(Probe.self) == .succeeded)
        #expect(called == 16)
    }

    @Test func `A peer that asks to be left alone is, also in the next run`() throws {
        nonisolated(unsafe) var called = 0
        let until = SystemTime().now().wall + .seconds(3_600)
        Probe.work = { peer in
            do {
                try peer.call("x") { _ in
                    called += 1
                    throw CallError(.throttled(until: until), "slow down")
                }
            } catch let error as CallError {
                throw error.jobFailure
            }
            return .succeeded()
        }
        let first = TestRun()
        first.remainingMilliseconds = 5_000
        #expect(first.run(Probe.self) == .retry)
        #expect(first.text == "slow down")
        #expect(first.notBefore == until.microseconds)
        let second = TestRun()
        second.remainingMilliseconds = 5_000
        second.state = first.stateAlways
        #expect(second.run(Probe.self) == .retry)
        #expect(second.text == "p: it asked to be left alone")
        #expect(second.notBefore == until.microseconds)
        #expect(called == 1)
    }

    @Test func `The cancel flag ends waiting and begins nothing new`() throws {
        nonisolated(unsafe) var called = 0
        let test = TestRun()
        Probe.work = { peer in
            try peer.call("x") { _ in
                called += 1
                test.isCancelled = true
                throw CallError(.throttled(until: SystemTime().now().wall + .seconds(25)), "slow down")
            }
            return .succeeded()
        }
        #expect(test.run(Probe.self) == .cancelled)
        #expect(called == 1)
    }

    @Test func `Calls in flight are bounded, results keep their order`() throws {
        let peer = Peer("p", CallPolicy(retry: Self.quick, inFlight: 4))
        struct Count: Sendable { var now = 0; var most = 0 }
        let count = Monitor(Count())
        let results = peer.map(Array(0 ..< 40)) { item in
            try peer.call("\(item)") { _ in
                count.change { $0.now += 1; $0.most = max($0.most, $0.now) }
                // Together with three others, so that four are seen at the same time.
                _ = count.wait(upTo: .seconds(60)) { $0.most >= 4 ? () : nil }
                count.withLock { $0.now -= 1 }
                if item % 10 == 3 { throw CallError(.business, "no \(item)") }
                return item * 2
            }
        }
        #expect(count.withLock { $0.most } == 4)
        for (item, result) in results.enumerated() {
            switch result {
            case .success(let value): #expect(value == item * 2 && item % 10 != 3)
            case .failure(let error): #expect("\(error)" == "no \(item)")
            }
        }
    }

    @Test func `While half open one call probes and the others wait for what it finds`() throws {
        let peer = Peer("p", CallPolicy(
            retry: Self.quick, breaker: BreakerPolicy(failures: 1, openFor: .milliseconds(1), successes: 2), inFlight: 4))
        _ = try? peer.call("x") { _ in throw Self.down() } as Void
        guard case .open = peer.mode else { Issue.record("\(peer.mode)"); return }
        let order = Monitor<[Int]>([])
        // The first attempts would be refused for the rest of the millisecond.
        let clock = SystemTime()
        let opened = clock.now().monotonic
        while clock.now().monotonic < opened + .milliseconds(2) {}
        let results = peer.map(Array(0 ..< 8)) { item in
            try peer.call("\(item)") { _ in order.change { $0.append(item) } }
        }
        #expect(results.allSatisfy { (try? $0.get()) != nil })
        #expect(peer.mode == .closed)
        #expect(order.withLock { $0.count } == 8)
    }
}
