import Testing

@testable import JobHost

@Suite struct PoolHealthTests {
    @Test("A pool that fails again and again is said once; health counts; the recovery says how often it was")
    func oneLineForManyFailures() {
        var health = PoolHealth()
        #expect(health.failed("mint", "no such file") == "pool mint: no such file")
        #expect(health.sentences.map(\.sentence) == ["pool mint: no such file"])
        for _ in 2...500 { #expect(health.failed("mint", "no such file") == nil) }
        #expect(health.sentences.map(\.sentence) == ["pool mint: no such file (500 times)"])
        #expect(health.recovered("mint") == "pool mint: recovered, after it failed 500 times: no such file")
        #expect(health.sentences.map(\.sentence) == [])
        #expect(health.recovered("mint") == nil)
        #expect(health.failed("mint", "no such file") == "pool mint: no such file")
    }

    @Test("Another reason is a change; pools do not mix")
    func changes() {
        var health = PoolHealth()
        _ = health.failed("b", "out of descriptors")
        _ = health.failed("b", "out of descriptors")
        #expect(health.failed("a", "out of descriptors") == "pool a: out of descriptors")
        #expect(health.failed("b", "crashed") == "pool b: crashed (before that, 2 times: out of descriptors)")
        #expect(health.sentences.map(\.sentence) == ["pool a: out of descriptors", "pool b: crashed"])
    }
}
