import JobCore
import Testing

@testable import JobHost

@Suite("Jobs by the instant of their turn") struct TimelineTests {
    private func at(_ seconds: Int64) -> Instant { Instant(seconds: seconds) }

    @Test("The earliest comes first; ties in order of arrival")
    func order() {
        var timeline = Timeline()
        for (job, second) in [(1, 5), (2, 3), (3, 5), (4, 1), (5, 3)] as [(Int, Int64)] { timeline.set(job: job, at: at(second)) }
        #expect(timeline.earliest == at(1))
        var jobs: [Int] = []
        while let job = timeline.popFirst() { jobs.append(job) }
        #expect(jobs == [4, 2, 5, 1, 3])
        #expect(timeline.earliest == nil)
    }

    @Test("Nothing is due before its instant")
    func due() {
        var timeline = Timeline()
        timeline.set(job: 1, at: at(10))
        #expect(timeline.popDue(at(10) - .microseconds(1)) == nil)
        #expect(timeline.popDue(at(10)) == 1)
        #expect(timeline.popDue(at(10)) == nil)
    }

    @Test("A job has one place, which moves forward, back and away")
    func moves() {
        var timeline = Timeline()
        timeline.set(job: 1, at: at(10))
        timeline.set(job: 2, at: at(20))
        timeline.set(job: 2, at: at(5))
        #expect(timeline.earliest == at(5))
        timeline.set(job: 2, at: at(30))
        #expect(timeline.earliest == at(10))
        #expect(timeline.count == 2)
        timeline.set(job: 1, at: nil)
        #expect(timeline.earliest == at(30))
        #expect(!timeline.contains(1))
        timeline.set(job: 7, at: nil)
        #expect(timeline.count == 1)
    }

    @Test("Setting a job to where it stands keeps its turn among its equals")
    func keepsTurn() {
        var timeline = Timeline()
        timeline.set(job: 1, at: at(5))
        timeline.set(job: 2, at: at(5))
        timeline.set(job: 1, at: at(5))
        #expect(timeline.popFirst() == 1)
    }

    @Test("Agrees with a sorted list over a thousand random changes", arguments: [1, 2, 3] as [UInt64])
    func agrees(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var timeline = Timeline()
        var expected: [Int: Instant] = [:]
        for _ in 0..<1_000 {
            let job = Int(random.next() % 40)
            let instant = random.next() % 4 == 0 ? nil : at(Int64(random.next() % 50))
            timeline.set(job: job, at: instant)
            expected[job] = instant
            #expect(timeline.earliest == expected.values.min())
            guard random.next() % 5 == 0, let popped = timeline.popFirst() else { continue }
            let least = expected.values.min()
            #expect(expected.removeValue(forKey: popped) == least)
        }
        #expect(timeline.count == expected.count)
    }
}
