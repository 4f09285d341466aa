import JobCore
import Testing

@testable import OutsideKit

/// Literal instants; no clock, no waiting.
@Suite struct CallMachineTests {
    private func at(_ milliseconds: Int64) -> Now {
        Now(wall: Instant(milliseconds: 1_000_000 + milliseconds), monotonic: MonotonicInstant(microseconds: milliseconds * 1_000))
    }
    private let retry = RetryPolicy(jitter: 0)
    private func machine(_ deadline: Int64 = .max / 1_000) -> CallMachine {
        CallMachine(name: "p", retry: retry, seed: 1, deadline: MonotonicInstant(microseconds: deadline * 1_000))
    }
    private let down = CallError(.unavailable, "down")

    @Test func `Waits double from 300 ms; after the fourth attempt it is over`() {
        var gate = PeerGate(CallPolicy())
        var call = machine()
        var now: Int64 = 0
        for (attempt, wait) in [(1, 300), (2, 600), (3, 1_200)] as [(Int, Int64)] {
            #expect(call.next(&gate, now: at(now)) == .attempt(attempt))
            _ = call.failed(down, &gate, now: at(now))
            #expect(call.next(&gate, now: at(now)) == .wait(.milliseconds(wait)))
            #expect(call.next(&gate, now: at(now + wait - 1)) == .wait(.milliseconds(1)))
            now += wait
        }
        #expect(call.next(&gate, now: at(now)) == .attempt(4))
        #expect(gate.breaker.failures == 0)
        _ = call.failed(down, &gate, now: at(now))
        #expect(call.end == down)
        #expect(gate.breaker.failures == 1)
    }

    @Test func `Jitter follows from the seed`() {
        func wait(_ seed: UInt64) -> CallMachine.Step {
            var gate = PeerGate(CallPolicy())
            var call = CallMachine(name: "p", retry: RetryPolicy(), seed: seed, deadline: .distantFuture)
            _ = call.next(&gate, now: at(0))
            _ = call.failed(down, &gate, now: at(0))
            return call.next(&gate, now: at(0))
        }
        #expect(wait(1) == wait(1))
        #expect(wait(1) != wait(2))
    }

    @Test func `Five failed calls in 60 s open it for 120 s, two good probes close it`() {
        var gate = PeerGate(CallPolicy(retry: RetryPolicy(maxAttempts: 1)))
        func fail(_ now: Int64) {
            var call = CallMachine(name: "p", retry: RetryPolicy(maxAttempts: 1), seed: 1, deadline: .distantFuture)
            #expect(call.next(&gate, now: at(now)) == .attempt(1))
            _ = call.failed(down, &gate, now: at(now))
        }
        fail(0)
        for now in [61_000, 70_000, 80_000, 90_000] as [Int64] { fail(now) }
        #expect(gate.breaker.mode == .closed)
        fail(100_000)
        #expect(gate.breaker.mode == .open(until: at(220_000).wall))
        var refused = machine()
        guard case .giveUp(let error) = refused.next(&gate, now: at(219_999)) else { Issue.record("was let through"); return }
        #expect(error.kind == .breakerOpen(until: at(220_000).wall))

        var probe = machine()
        #expect(probe.next(&gate, now: at(220_000)) == .attempt(1))
        var other = machine()
        #expect(other.next(&gate, now: at(220_000)) == .waitForOthers)
        _ = probe.succeeded(&gate, now: at(220_001))
        #expect(other.next(&gate, now: at(220_001)) == .attempt(1))
        _ = other.succeeded(&gate, now: at(220_002))
        #expect(gate.breaker.mode == .closed)
    }

    @Test func `A probe is one attempt; broken off, it gives its permit back`() {
        var gate = PeerGate(CallPolicy(breaker: BreakerPolicy(failures: 1, openFor: .seconds(1), successes: 1)))
        var first = CallMachine(name: "p", retry: RetryPolicy(maxAttempts: 1), seed: 1, deadline: .distantFuture)
        _ = first.next(&gate, now: at(0))
        _ = first.failed(down, &gate, now: at(0))
        var probe = machine()
        #expect(probe.next(&gate, now: at(1_000)) == .attempt(1))
        _ = probe.failed(nil, &gate, now: at(1_000))
        var second = machine()
        #expect(second.next(&gate, now: at(1_000)) == .attempt(1))
        _ = second.failed(down, &gate, now: at(1_000))
        #expect(second.end == down)
        #expect(gate.breaker.mode == .open(until: at(2_000).wall))
    }

    @Test func `A call between two attempts ends when the breaker has opened meanwhile`() {
        var gate = PeerGate(CallPolicy(breaker: BreakerPolicy(failures: 1)))
        var waiting = machine()
        _ = waiting.next(&gate, now: at(0))
        _ = waiting.failed(down, &gate, now: at(0))
        var other = CallMachine(name: "p", retry: RetryPolicy(maxAttempts: 1), seed: 1, deadline: .distantFuture)
        _ = other.next(&gate, now: at(0))
        _ = other.failed(down, &gate, now: at(0))
        #expect(waiting.next(&gate, now: at(300)) == .giveUp(down))
    }

    @Test func `Retry-After holds all calls back; one that would end after the run is given up`() {
        var gate = PeerGate(CallPolicy())
        var call = machine()
        _ = call.next(&gate, now: at(0))
        _ = call.failed(CallError(.throttled(until: at(5_000).wall), "slow"), &gate, now: at(0))
        #expect(call.next(&gate, now: at(300)) == .wait(.milliseconds(4_700)))
        var other = machine()
        #expect(other.next(&gate, now: at(1_000)) == .wait(.milliseconds(4_000)))
        var hurried = machine(2_000)
        guard case .giveUp(let error) = hurried.next(&gate, now: at(1_000)) else { Issue.record("it waits"); return }
        #expect(error.kind == .throttled(until: at(5_000).wall))
        #expect(call.next(&gate, now: at(5_000)) == .attempt(2))
        #expect(gate.breaker.failures == 0)
        // Nobody waits for more than half a minute.
        gate.pause(until: at(35_001).wall, now: at(5_000).wall)
        var patient = machine()
        guard case .giveUp = patient.next(&gate, now: at(5_000)) else { Issue.record("it waits"); return }
        var later = machine()
        #expect(later.next(&gate, now: at(5_001)) == .wait(.seconds(30)))
    }

    @Test func `A pause without a time is a minute; none is longer than three days`() {
        var gate = PeerGate(CallPolicy())
        gate.pause(until: nil, now: at(0).wall)
        #expect(gate.pausedUntil == at(60_000).wall)
        gate.pause(until: at(.max / 2_000_000).wall, now: at(0).wall)
        #expect(gate.pausedUntil == at(3 * 86_400_000).wall)
        // The clock was set back since.
        #expect(gate.take(now: Instant(seconds: 0)) == Instant(seconds: 3 * 86_400))
    }

    @Test func `The rate allows a burst, then one call after the other`() {
        let limit = RateLimit(calls: 10, per: .seconds(1), burst: 3)
        var pace = Pace()
        let start = Instant(seconds: 100)
        for _ in 0 ..< 3 { #expect(pace.take(limit, now: start) == nil) }
        #expect(pace.take(limit, now: start) == start + .milliseconds(100))
        #expect(pace.take(limit, now: start + .milliseconds(99)) == start + .milliseconds(100))
        #expect(pace.take(limit, now: start + .milliseconds(100)) == nil)
        // Set back by an hour, it does not wait for an hour.
        let back = start - .seconds(3_600)
        #expect(pace.take(limit, now: back).map { $0 - back <= .milliseconds(100) } ?? true)
        #expect((0 ..< 1_000).allSatisfy { _ in
            var none = Pace()
            return none.take(.none, now: start) == nil
        })
    }

    @Test func `The gate's state survives writing and reading`() throws {
        var gate = PeerGate(CallPolicy(breaker: BreakerPolicy(failures: 1), rate: RateLimit(calls: 1, per: .seconds(10))))
        _ = gate.take(now: at(0).wall)
        gate.pause(until: at(700).wall, now: at(0).wall)
        var call = CallMachine(name: "p", retry: RetryPolicy(maxAttempts: 1), seed: 1, deadline: .distantFuture)
        _ = call.next(&gate, now: at(20_000))
        _ = call.failed(down, &gate, now: at(20_000))
        var other = PeerGate(CallPolicy(breaker: BreakerPolicy(failures: 1), rate: RateLimit(calls: 1, per: .seconds(10))))
        other.restore(gate.state)
        #expect(other.state == gate.state)
        guard case .open = other.breaker.mode else { Issue.record("\(other.breaker.mode)"); return }
    }
}
