import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// A start that is later than its fire by the job's jitter.
@Suite("Jitter") struct JitterTests: DispatchStory {
    private func job(_ name: String, _ seconds: Int = 120, _ change: (inout JobConfig) -> Void = { _ in }) -> JobConfig {
        SimulatedHost.job(name, every(seconds)) {
            $0.jitter = .seconds(60)
            change(&$0)
        }
    }

    /// When the run of the job's fire may start.
    private func start(_ host: borrowing SimulatedHost, _ job: String, _ fire: String) -> Instant {
        host.dispatcher.jobs[host.dispatcher.index[job]!].schedule.startTime(of: at(fire))
    }

    private func began(_ host: borrowing SimulatedHost, _ job: String) -> [Instant] {
        host.rows.filter { $0.value.job == job }.compactMap { host.startedAt[$0.key] }.sorted()
    }

    @Test("Each start is delayed, whether a worker was free at the fire or not; while they wait for it, a fire without jitter is claimed ahead and has the worker")
    func oneWorker() {
        var host = host("00:01:50")
        host.apply([job("a"), job("b"), SimulatedHost.job("c", .every(.seconds(120), phase: .seconds(3)))], workers: 1)
        host.advance(to: at("00:02:02"))
        #expect(host.started.isEmpty)
        #expect(host.claims.filter { $0.job == "c" }.map(\.waits) == [false], "claimed ahead")
        host.advance(to: at("00:02:03"))
        #expect(host.started.map(\.job) == ["c"])
        host.end(.succeeded)
        for second in 4...70 {
            host.advance(to: at("00:02:03") + .seconds(second - 3))
            host.end(.succeeded)
        }
        for job in ["a", "b"] {
            let start = start(host, job, "00:02:00")
            #expect(start > at("00:02:04"), "the story needs one that is delayed")
            #expect(began(host, job).count == 1 && began(host, job)[0] >= start, "\(job): \(began(host, job)), not before \(start)")
        }
        #expect(host.dispatcher.pools.values.allSatisfy { $0.busy == 0 && $0.promised == 0 && $0.asked == 0 })
    }

    @Test("What finds all workers taken when its start comes waits in the store, where other hosts see it")
    func noWorker() {
        var host = host("00:01:50")
        let hog = SimulatedHost.job("hog", .none)
        host.apply([job("a"), hog], workers: 1)
        host.advance(to: at("00:02:00"))
        #expect(host.dispatcher.jobs[0].held.count == 1)
        host.enqueue("hog")
        #expect(host.started.map(\.job) == ["hog"])
        host.advance(to: start(host, "a", "00:02:00") - .seconds(1))
        #expect(host.runs("a").map(\.state) == [.available])
        #expect(host.dispatcher.jobs[0].waitingFires.count == 1, "it keeps its place")
        host.advance(by: .seconds(5))
        host.end(.succeeded)
        #expect(host.started.map(\.job) == ["a"])
    }

    @Test("A fire that waits for the end of its jitter keeps its place of the job, whatever else of the job is asked for meanwhile")
    func keepsItsPlace() {
        var host = host("00:01:50")
        host.apply([job("a") { $0.concurrency = 2 }, SimulatedHost.job("hog", .none) { $0.concurrency = 2 }], workers: 2)
        for _ in 0..<2 { host.enqueue("hog") }
        host.advance(to: at("00:02:00.100"))
        #expect(host.claims.filter { $0.job == "a" }.map(\.waits) == [true])
        for _ in 0..<2 { host.end(.succeeded) }
        host.enqueue("a")
        #expect(host.started.map(\.trigger) == [.enqueued])
        #expect(host.asked.last == ["a": 2], "more than there is now")
        host.end(.succeeded)
        #expect(host.dispatcher.jobs[0].waitingFires.count == 1)
        host.advance(to: at("00:03:01"))
        #expect(host.started.map(\.trigger) == [.schedule])
    }

    @Test("What is given back before its start is not begun before it either")
    func givenBack() {
        var host = host("00:01:50")
        host.apply([job("a")])
        host.advance(to: at("00:02:00"))
        host.perform(host.dispatcher.suspend(now: host.now))
        host.perform(host.dispatcher.resume(now: host.now))
        host.advance(to: at("00:03:01"))
        #expect(began(host, "a").count == 1 && began(host, "a")[0] >= start(host, "a", "00:02:00"))
    }

    @Test("A fire of a job with a rate is delayed too; one that is overdue is not")
    func ratedAndOverdue() {
        var host = host("00:01:50")
        host.apply([job("a") { $0.rate = RateLimit(runs: 1, per: .seconds(1)) }])
        host.advance(to: at("00:03:01"))
        #expect(began(host, "a").count == 1 && began(host, "a")[0] >= start(host, "a", "00:02:00"))
        var late = self.host("00:01:50")
        late.apply([job("a")])
        late.now = Now(wall: at("00:02:20"), monotonic: late.now.monotonic + .seconds(30))
        late.send(.tick)
        #expect(late.started.map(\.trigger) == [.catchUp])
    }
}
