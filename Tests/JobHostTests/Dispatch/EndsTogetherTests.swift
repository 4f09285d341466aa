import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

@Suite("Ends that are heard together") struct EndsTogetherTests: DispatchStory {
    private func rows(of notes: [DispatchNote]) -> [RunRecord] { notes.compactMap { $0.record?.value } }

    @Test("The breaker opens at the failure at which it is to open; what fails after it counts no more, and nothing takes any place")
    func breaker() {
        var host = host()
        host.apply([SimulatedHost.job("a", .none) {
            $0.concurrency = 4
            $0.breaker = BreakerPolicy(failures: 2, openFor: .seconds(10), successes: 1)
        }])
        // Short ones are claimed ahead: those that are ready would begin without a question.
        host.enqueue("a")
        host.advance(by: .milliseconds(1))
        host.end(.succeeded)
        host.answersLate = true
        for _ in 0..<9 { host.enqueue("a", maxAttempts: 1) }
        host.answer()
        let runs = host.started.map(\.run)
        #expect(runs.count == 4 && host.runs("a", .running).count == 9)
        host.end(together: [.succeeded, .failed, .failed, .failed])
        #expect(host.started.isEmpty, "of the first end's place too")
        #expect(host.dispatcher.jobs[0].breaker?.mode == .open(until: at("00:00:10.501")))
        let openings = host.notes.filter { $0.kind == .breaker(.open(until: at("00:00:10.501"))) }
        #expect(openings.map(\.run) == [runs[2]] && openings[0].text.contains("2 failures in a row"), "\(openings.map(\.text))")
        #expect(host.runs("a", .discarded).count == 3 && host.runs("a", .succeeded).count == 2 && host.runs("a", .available).count == 5)
        host.advance(by: .seconds(10))
        #expect(host.started.count == 1, "the probe")
    }

    @Test("A success among them takes the failures before it back") func success() {
        var host = host()
        host.apply([SimulatedHost.job("a", .none) {
            $0.concurrency = 4
            $0.breaker = BreakerPolicy(failures: 2, openFor: .seconds(10), successes: 1)
        }])
        for _ in 0..<8 { host.enqueue("a", maxAttempts: 1) }
        host.end(together: [.failed, .succeeded, .failed, .succeeded])
        #expect(host.dispatcher.jobs[0].breaker?.mode == .closed)
        #expect(host.started.count == 4)
    }

    @Test("Each is told with the row that it leaves, in their order") func ownRows() {
        var host = host()
        host.apply([SimulatedHost.job("a", .none) { $0.concurrency = 2 }, SimulatedHost.job("b", .none)])
        for job in ["a", "b", "a"] { host.enqueue(job, maxAttempts: 1) }
        let runs = host.started.map(\.run)
        let outcomes = [Outcome.failed, .nothingToDo, .succeeded]
        host.end(together: outcomes)
        #expect(rows(of: host.notes).map(\.id) == runs && rows(of: host.notes).map(\.outcome) == outcomes)
        #expect(host.dispatcher.jobs[0].lastRun?.id == runs[2] && host.dispatcher.jobs[1].lastRun?.id == runs[1])
        #expect(host.dispatcher.jobs[0].recent.attempts.count == 2)
    }

    @Test("The store is asked once for what takes their places, of all jobs") func question() {
        var host = host()
        host.apply(["a", "b"].map { SimulatedHost.job($0, .none) })
        for job in ["a", "b", "a", "b"] { host.enqueue(job) }
        #expect(host.started.count == 2)
        host.asked = []
        host.advance(by: .milliseconds(30))
        host.answersLate = true
        host.end(together: [.succeeded, .succeeded])
        #expect(host.asked == [["a": 1, "b": 1]])
        host.answer()
        #expect(host.started.map(\.job).sorted() == ["a", "b"])
    }

    @Test("A fire that waits for its turn begins when all of them have ended, and no fire is skipped for one of them")
    func overlap() {
        for overlap in [OverlapPolicy.skip, .queue] {
            var host = host()
            host.apply([SimulatedHost.job("a", every(1)) {
                $0.overlap = overlap
                $0.concurrency = 2
            }])
            host.advance(to: at("00:00:02"))
            #expect(host.started.count == 2)
            // The third is due, and both places are free by then.
            host.now = Now(wall: at("00:00:03"), monotonic: host.now.monotonic + .seconds(1))
            host.end(together: [.succeeded, .succeeded])
            host.send(.tick)
            #expect(host.started.map(\.fireTime) == [at("00:00:03")], "\(overlap)")
            #expect(host.ranges["a", default: []].isEmpty)
        }
    }

    @Test("One of a job that was removed, one that nobody knows and one that is heard of twice keep no other from its end")
    func strangers() {
        var host = host()
        host.apply(["a", "b"].map { SimulatedHost.job($0, .none) })
        for job in ["a", "b"] { host.enqueue(job) }
        let runs = host.started
        host.apply([SimulatedHost.job("b", .none)], generation: 2)
        let known = runs.map { AttemptEnd(run: $0.run, job: $0.job, outcome: .succeeded, startedAt: host.now.wall, finishedAt: host.now.wall) }
        let unknown = AttemptEnd(run: RunID(99), job: "c", outcome: .failed, startedAt: nil, finishedAt: host.now.wall)
        host.send(.ended([unknown, known[0], known[0], known[1]]))
        #expect(rows(of: host.notes).map(\.id) == runs.map(\.run))
        #expect(host.dispatcher.owners.isEmpty)
        host.perform(host.dispatcher.drain(now: host.now))
        let isDrained = host.isDrained
        #expect(isDrained)
    }
}
