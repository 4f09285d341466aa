import JobCore
import Testing

@Suite("Retry delays")
struct RetryTests {
    private func plain(_ initial: Duration, max: Duration, multiplier: Double = 2) -> RetryPolicy {
        RetryPolicy(maxAttempts: 10, initial: initial, max: max, multiplier: multiplier, jitter: 0)
    }

    @Test("without jitter the delays are initial · multiplierⁿ⁻¹, at most max", arguments: [
        (1, 300_000), (2, 600_000), (3, 1_200_000), (4, 2_000_000), (5, 2_000_000), (60, 2_000_000),
    ] as [(Int, Int64)])
    func exponential(attempt: Int, microseconds: Int64) {
        let policy = plain(.milliseconds(300), max: .seconds(2))
        #expect(policy.delay(afterAttempt: attempt, seed: 7) == .microseconds(microseconds))
    }

    @Test("powers of two are exact to the microsecond")
    func exact() {
        let policy = plain(.microseconds(1), max: .seconds(1_000_000_000))
        #expect(policy.delay(afterAttempt: 41, seed: 0) == .microseconds(1_099_511_627_776))
    }

    @Test("a multiplier of 1.5 grows by half each time")
    func fractional() {
        let policy = plain(.seconds(8), max: .seconds(1_000), multiplier: 1.5)
        #expect((1...4).map { policy.delay(afterAttempt: $0, seed: 0) } == [.seconds(8), .seconds(12), .seconds(18), .seconds(27)])
    }

    @Test("huge attempts, multipliers and limits saturate instead of trapping", arguments: [
        (Int.max, 2.0), (Int.max, .infinity), (1_000_000, 1e300), (5_000, 10.0),
    ])
    func saturates(attempt: Int, multiplier: Double) {
        let policy = plain(.seconds(1), max: .microseconds(Int64.max), multiplier: multiplier)
        #expect(policy.delay(afterAttempt: attempt, seed: 0) == .microseconds(Int64.max))
    }

    @Test("values out of range count as the nearest sensible ones")
    func outOfRange() {
        #expect(plain(.seconds(1), max: .seconds(9), multiplier: .nan).delay(afterAttempt: 5, seed: 0) == .seconds(1))
        #expect(plain(.seconds(1), max: .seconds(9), multiplier: -3).delay(afterAttempt: 5, seed: 0) == .seconds(1))
        #expect(plain(.seconds(-1), max: .seconds(9)).delay(afterAttempt: 5, seed: 0) == .zero)
        #expect(plain(.seconds(1), max: .seconds(-9)).delay(afterAttempt: 5, seed: 0) == .zero)
        #expect(plain(.zero, max: .seconds(9), multiplier: .infinity).delay(afterAttempt: 5, seed: 0) == .zero)
        #expect(plain(.seconds(1), max: .seconds(9)).delay(afterAttempt: 0, seed: 0) == .seconds(1))
        #expect(plain(.seconds(1), max: .seconds(9)).delay(afterAttempt: .min, seed: 0) == .seconds(1))
    }

    @Test("jitter spreads evenly over ± its share, and one seed gives one delay")
    func jitter() {
        let policy = RetryPolicy(initial: .seconds(10), max: .seconds(10), multiplier: 1, jitter: 0.2)
        var seeds = SeededGenerator(seed: 2_024)
        var low = 0
        for _ in 0..<2_000 {
            let seed = seeds.next()
            let delay = policy.delay(afterAttempt: 3, seed: seed)
            #expect(delay == policy.delay(afterAttempt: 3, seed: seed))
            #expect((.seconds(8))...(.seconds(12)) ~= delay, "seed \(seed)")
            if delay < .seconds(10) { low += 1 }
        }
        #expect(900...1_100 ~= low)
    }

    @Test("attempts of one run do not share their jitter")
    func jitterByAttempt() {
        let policy = RetryPolicy(initial: .seconds(10), max: .seconds(10), multiplier: 1, jitter: 0.5)
        #expect(Set((1...20).map { policy.delay(afterAttempt: $0, seed: 1) }).count == 20)
    }

    @Test("the generator is SplitMix64: its published numbers for seed 1234567")
    func splitMix() {
        var generator = SeededGenerator(seed: 1_234_567)
        #expect((0..<5).map { _ in generator.next() } == [
            6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
            4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
        ])
    }
}
