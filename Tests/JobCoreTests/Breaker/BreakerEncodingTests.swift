import JobCore
import Testing

private let usual = BreakerPolicy(failures: 3, window: .seconds(60), openFor: .seconds(120), successes: 2)
private let start = Instant(seconds: 1_700_000_000)

/// One random step; returns what an outsider saw of it.
private func step(_ breaker: inout Breaker, _ permits: inout [Breaker.Permit], now: Instant, _ random: inout SeededGenerator) {
    switch Int.random(in: 0..<20, using: &random) {
    case 0..<8: permits.append(breaker.acquire(now: now))
    case 8..<15:
        guard let permit = permits.popLast(), case .granted(let generation, let isProbe) = permit else { return }
        let outcome = Outcome.allCases.randomElement(using: &random)!
        _ = breaker.record(outcome, generation: generation, wasProbe: isProbe, now: now)
    case 15: permits.popLast().map { breaker.release($0) }
    case 16: breaker.forceOpen(until: Bool.random(using: &random) ? nil : now + .seconds(50), reason: "a|b,c\n", now: now)
    case 17: breaker.close(reason: "closed", now: now)
    case 18: breaker.disable(reason: "", now: now)
    default: breaker.reset(now: now)
    }
}

@Suite("Breaker in the store, and under random histories")
struct BreakerEncodingTests {
    @Test("a restart keeps the probe time")
    func probeTime() throws {
        var breaker = Breaker(policy: usual)
        for _ in 0..<3 {
            guard case .granted(let generation, _) = breaker.acquire(now: start) else { break }
            _ = breaker.record(.failed, generation: generation, wasProbe: false, now: start)
        }
        var restored = try #require(Breaker(encoded: breaker.encoded, policy: usual))
        #expect(restored == breaker)
        #expect(restored.acquire(now: start + .seconds(119)) == .refused(until: start + .seconds(120)))
    }

    @Test("a restart keeps the failures inside the window")
    func window() throws {
        var breaker = Breaker(policy: usual)
        for second in [0, 30] as [Int64] {
            guard case .granted(let generation, _) = breaker.acquire(now: start) else { continue }
            _ = breaker.record(.failed, generation: generation, wasProbe: false, now: start + .seconds(second))
        }
        var restored = try #require(Breaker(encoded: breaker.encoded, policy: usual))
        #expect(restored.failures == 2)
        #expect(restored.record(.failed, generation: restored.generation, wasProbe: false, now: start + .seconds(60)) != nil)
    }

    @Test("a restart does not keep the permit of a probe that ended with it")
    func permit() throws {
        var breaker = Breaker(policy: usual)
        breaker.forceOpen(until: start, reason: "", now: start)
        guard case .granted(_, true) = breaker.acquire(now: start) else {
            Issue.record("no probe")
            return
        }
        let restored = try #require(Breaker(encoded: breaker.encoded, policy: usual))
        #expect(restored.mode == .halfOpen)
        #expect(restored.peek(now: start))
    }

    @Test("the encoding is stable: what today's rows contain")
    func stable() throws {
        var breaker = Breaker(policy: usual)
        breaker.forceOpen(until: Instant(seconds: 2), reason: "a|b", now: Instant(seconds: 1))
        #expect(breaker.encoded == "1|forced_open|2000000|1000000|2|0||a|b")
        let restored = try #require(Breaker(encoded: "1|closed|-|-|7|0|5,9|", policy: usual))
        #expect(restored.mode == .closed && restored.generation == 7 && restored.failures == 2)
    }

    @Test("a reason is kept up to 500 bytes, whole characters", arguments: ["x", "é", "👩‍👩‍👧‍👦"])
    func longReason(unit: String) throws {
        var breaker = Breaker(policy: usual)
        breaker.forceOpen(until: nil, reason: String(repeating: unit, count: 10_000), now: start)
        #expect(490...500 ~= breaker.reason.utf8.count)
        #expect(Breaker(encoded: breaker.encoded, policy: usual) == breaker)
    }

    @Test("hostile text is refused", arguments: [
        "", "1", "2|closed|-|-|1|0||", "1|closed|-|-|1|0|", "1|ajar|-|-|1|0||", "1|closed|5|-|1|0||", "1|open|-|-|1|0||",
        "1|open|x|-|1|0||", "1|closed|-||1|0||", "1|closed|-|-|-1|0||", "1|closed|-|-|9223372036854775807|0||",
        "1|closed|-|-|99999999999999999999|0||", "1|closed|-|-|1|-1||", "1|closed|-|-|1|10001||", "1|closed|-|-|1|0|a,b|",
        "1|closed|-|-|1|0|\(Array(repeating: "1", count: 10_001).joined(separator: ","))|",
        "1|closed|-|-|1|0||\(String(repeating: "x", count: 501))", String(repeating: "|", count: 300_000),
    ])
    func hostile(text: String) { #expect(Breaker(encoded: text, policy: usual) == nil) }

    @Test("random bytes and damaged encodings never trap, and what they restore can be used")
    func damaged() {
        var random = SeededGenerator(seed: 31)
        var accepted = 0
        for _ in 0..<5_000 {
            var bytes = Array("1|open|170000000|-170000|12|1|1,2,3|x".utf8)
            for _ in 0..<Int.random(in: 1...2, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            guard var breaker = Breaker(encoded: String(decoding: bytes, as: UTF8.self), policy: usual) else { continue }
            accepted += 1
            var permits: [Breaker.Permit] = []
            for _ in 0..<10 { step(&breaker, &permits, now: .distantFuture, &random) }
        }
        #expect(accepted > 100)
    }

    @Test("every history can be stored and read back, apart from the probe under way", arguments: [1, 2, 3, 4, 5] as [UInt64])
    func roundTrip(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var breaker = Breaker(policy: usual)
        var permits: [Breaker.Permit] = []
        var now = start
        for _ in 0..<2_000 {
            now = now + .seconds(Int64.random(in: -20...40, using: &random))
            step(&breaker, &permits, now: now, &random)
            let restored = try #require(Breaker(encoded: breaker.encoded, policy: usual), "seed \(seed): \(breaker.encoded)")
            #expect(restored.encoded == breaker.encoded)
            #expect(restored.mode == breaker.mode && restored.generation == breaker.generation)
        }
    }

    @Test("whatever happened, there is never more than one living probe", arguments: [11, 12, 13] as [UInt64])
    func oneProbe(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var breaker = Breaker(policy: usual)
        var living: Int64?
        var probes = 0
        var now = start
        for _ in 0..<5_000 {
            now = now + .seconds(Int64.random(in: 0...30, using: &random))
            if case .granted(let generation, let isProbe) = breaker.acquire(now: now) {
                if isProbe {
                    #expect(living == nil, "seed \(seed)")
                    living = generation
                    probes += 1
                }
                // Some probes go on while others ask.
                guard !isProbe || Bool.random(using: &random) else { continue }
                let outcome = Outcome.allCases.randomElement(using: &random)!
                _ = breaker.record(outcome, generation: generation, wasProbe: isProbe, now: now)
                if isProbe { living = nil }
            } else if let probe = living, Bool.random(using: &random) {
                breaker.release(.granted(generation: probe, isProbe: true))
                living = nil
            }
        }
        #expect(probes > 100)
    }

    @Test("left alone for open_for, it always lets something through (unless an operator holds it)", arguments: [21, 22, 23] as [UInt64])
    func neverLocked(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var breaker = Breaker(policy: usual)
        var permits: [Breaker.Permit] = []
        for _ in 0..<3_000 {
            // The hands of the clock go anywhere.
            let now = start + .seconds(Int64.random(in: -1_000_000...1_000_000, using: &random))
            step(&breaker, &permits, now: now, &random)
            if case .forcedOpen = breaker.mode { continue }
            var copy = breaker
            for permit in permits { copy.release(permit) }
            _ = copy.acquire(now: now)
            copy.release(.granted(generation: copy.generation, isProbe: true))
            #expect(copy.peek(now: now + .seconds(120)), "seed \(seed): \(breaker.encoded) at \(now.microseconds)")
        }
    }
}
