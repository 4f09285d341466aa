import JobCore
import Testing

@testable import JobHost

@Suite("Memory that is free is given back") struct MemoryReleaseTests {
    private var release = MemoryRelease()

    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }
    private mutating func isDue(_ megabytes: UInt64, generation: Int64 = 1, at seconds: Int64) -> Bool {
        release.isDue(bytes: megabytes << 20, generation: generation, now: at(seconds))
    }

    @Test("After the building of each generation, once") mutating func eachGeneration() {
        let first = [isDue(90, at: 5), isDue(90, at: 10)]
        #expect(first == [true, false], "it is under way")
        release.isDone(bytes: 40 << 20)
        let later = [isDue(40, at: 600), isDue(41, generation: 2, at: 601)]
        #expect(later == [false, true])
    }

    @Test("When it has grown by enough, and not sooner than a minute after the last time") mutating func whenItHasGrown() {
        _ = isDue(90, at: 0)
        release.isDone(bytes: 40 << 20)
        let due = [isDue(200, at: 59), isDue(55, at: 60), isDue(56, at: 60)]
        #expect(due == [false, false, true])
    }

    @Test("What is in use is not tried again and again") mutating func whatIsInUse() {
        _ = isDue(90, at: 0)
        release.isDone(bytes: 40 << 20)
        let first = isDue(300, at: 60)
        release.isDone(bytes: 300 << 20)
        let again = isDue(310, at: 1_000)
        #expect((first, again) == (true, false))
    }
}
