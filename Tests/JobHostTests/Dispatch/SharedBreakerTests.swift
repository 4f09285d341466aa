import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// What a host makes of the breaker's row that it reads in a store with other hosts.
@Suite("A breaker that other hosts share") struct SharedBreakerTests {
    private static let policy = BreakerPolicy(failures: 3, openFor: .seconds(60), successes: 1)

    private func shared(_ policy: BreakerPolicy = policy) -> SimulatedHost {
        var host = SimulatedHost(at: "2026-01-01T00:00:00Z")
        host.apply([SimulatedHost.job("a", .none) { $0.breaker = policy; $0.retry.maxAttempts = 1; $0.concurrency = 2 }])
        return host
    }

    private func breaker(_ host: borrowing SimulatedHost) -> Breaker { host.dispatcher.jobs[0].breaker! }

    private func row(_ generation: Int64, _ change: (inout Breaker) -> Void) -> BreakerRow {
        var breaker = Breaker(policy: Self.policy)
        change(&breaker)
        return BreakerRow(breaker.encoded, generation: generation)
    }

    private func failures(_ count: Int, _ generation: Int64 = BreakerRow.first) -> BreakerRow {
        row(generation) { breaker in
            for second in 0..<count {
                _ = breaker.record(.failed, generation: 1, wasProbe: false, now: Instant(rfc3339: "2025-12-31T23:59:0\(second)Z")!)
            }
        }
    }

    private func adopt(_ host: inout SimulatedHost, _ row: BreakerRow, isSettled: Bool = true) {
        host.perform(host.dispatcher.adoptBreaker(job: "a", row, isSettled: isSettled, now: host.now))
    }

    private func fail(_ host: inout SimulatedHost) {
        host.enqueue("a", maxAttempts: 1)
        host.end(.failed)
    }

    @Test("Failures that another host counted count here, also for what began before they were heard of") func counting() {
        var host = shared()
        host.enqueue("a", maxAttempts: 1)
        #expect(host.started.count == 1)
        adopt(&host, failures(2))
        #expect(breaker(host).failures == 2)
        host.end(.failed)
        #expect(breaker(host).mode == .open(until: host.now.wall + .seconds(60)))
        #expect(host.dispatcher.jobs[0].storedBreaker?.generation == BreakerRow.first + 1)
    }

    @Test("What an operator forced elsewhere stands over a trip that this host decided in the same moment", arguments: [false, true])
    func force(isSettled: Bool) {
        var host = shared()
        for _ in 0..<3 { fail(&host) }
        #expect(host.dispatcher.jobs[0].storedBreaker?.generation == BreakerRow.first + 1)
        // The store has refused the trip: the operator's row came first, with the same generation.
        let forced = row(BreakerRow.first + 1) { $0.forceOpen(until: nil, reason: "gateway", now: Instant(rfc3339: "2026-01-01T00:00:00Z")!) }
        adopt(&host, forced, isSettled: isSettled)
        #expect(breaker(host).mode == .forcedOpen(until: nil))
        #expect(host.dispatcher.jobs[0].storedBreaker == forced)
        adopt(&host, forced)
        #expect(host.notes.count { $0.kind == .adoptedBreaker(.forcedOpen(until: nil)) && $0.text.contains("as another host left it") } == 1)
    }

    @Test("An answer from before this host's own writing does not undo that; what another host wrote after it does") func stale() {
        var host = shared()
        adopt(&host, failures(1))
        fail(&host)
        #expect(breaker(host).failures == 2)
        adopt(&host, failures(1), isSettled: false)
        #expect(breaker(host).failures == 2, "its own failure was forgotten")
        adopt(&host, row(BreakerRow.first + 1) { $0.close(reason: "by ops", now: .distantPast) }, isSettled: false)
        #expect(breaker(host).failures == 0 && breaker(host).reason == "by ops")
    }

    @Test("Where a write of this host did not come to pass the store's row is what holds, older or not") func refusedWrite() {
        var host = shared()
        for _ in 0..<3 { fail(&host) }
        adopt(&host, failures(1))
        #expect(breaker(host).mode == .closed && breaker(host).failures == 1)
        fail(&host)
        fail(&host)
        #expect(breaker(host).mode == .open(until: host.now.wall + .seconds(60)))
    }

    @Test("A run of before a breaker was closed elsewhere says nothing of it") func olderRun() {
        var host = shared()
        host.enqueue("a", maxAttempts: 1)
        adopt(&host, row(BreakerRow.first + 4) { $0.close(reason: "by ops", now: .distantPast) })
        host.end(.failed)
        #expect(breaker(host).failures == 0)
    }

    @Test("A run of before a reload took the breaker out says nothing of the one that the next puts back") func putBack() {
        var host = shared()
        func reload(_ policy: BreakerPolicy?, _ generation: Int64) {
            host.apply([SimulatedHost.job("a", .none) { $0.breaker = policy; $0.retry.maxAttempts = 1; $0.concurrency = 2 }], generation: generation)
        }
        host.enqueue("a", maxAttempts: 1)
        reload(nil, 2)
        reload(Self.policy, 3)
        host.end(.failed)
        #expect(breaker(host).failures == 0)
        fail(&host)
        #expect(breaker(host).failures == 1)
    }

    @Test("A probe that another host's success has made needless is not taken for a failure; the breaker is closed") func probe() {
        var host = shared()
        for _ in 0..<3 { fail(&host) }
        host.enqueue("a", maxAttempts: 1)
        #expect(host.started.isEmpty)
        host.advance(by: .seconds(61))
        #expect(host.started.count == 1 && breaker(host).mode == .halfOpen)
        // One at a time.
        host.enqueue("a", maxAttempts: 1)
        #expect(host.started.count == 1)
        // The row that it came from does not take the probe away.
        let own = host.dispatcher.jobs[0].storedBreaker!
        adopt(&host, own)
        #expect(breaker(host).mode == .halfOpen)
        adopt(&host, row(BreakerRow.first + 2) { $0.close(reason: "1 probe succeeded", now: .distantPast) })
        #expect(breaker(host).mode == .closed)
        host.end(.failed)
        #expect(breaker(host).failures == 0)
    }

    @Test("Where the clock was set back, host and store count the same failures") func clockSetBack() {
        var host = shared(BreakerPolicy(failures: 2, window: .seconds(60), openFor: .seconds(60), successes: 1))
        host.advance(to: "2026-01-01T00:00:40Z")
        fail(&host)
        host.setClock("2026-01-01T00:00:00Z")
        host.enqueue("a", maxAttempts: 1)
        host.end(.succeeded)
        // A minute after the first failure by the clock that was set back, half a minute by the one before.
        host.advance(to: "2026-01-01T00:01:10Z")
        fail(&host)
        #expect(breaker(host).mode == .closed && breaker(host).failures == 1)
        #expect(host.dispatcher.jobs[0].storedBreaker?.data == breaker(host).encoded)
    }
}
