import JobCore
import JobStore
import Testing

@testable import JobHost

struct OverviewTests {
    private func plain(_ name: String) -> JobSnapshot {
        var job = JobSnapshot(name: name, plugin: "market", entry: "roll")
        job.nextFire = sampleNow + .seconds(12)
        job.last = Samples.record(41)
        return job
    }

    private func overview(_ jobs: [JobSnapshot], first: Int?) -> API.Overview {
        API.Overview(Samples.snapshot(jobs), names: nil, first: first, recent: 0)
    }

    /// What the page shows first: the rows in sight, and every problem, wherever its row is.
    @Test(arguments: [
        "off", "refused", "a problem", "running", "waiting", "dead", "switched by hand", "paused", "breaker", "failing", "cancelled", "overdue", "unwell",
    ])
    func whatAsksForAttentionIsThere(_ what: String) {
        var jobs = (10..<40).map { plain("job-\($0)") }
        switch what {
        case "off": jobs[25].enabled = false
        case "refused": jobs[25].refused = "no such library"
        case "a problem": jobs[25].problems = ["bad settings"]
        case "running": jobs[25].running = Samples.running.running
        case "waiting": jobs[25].waiting = 1
        case "dead": jobs[25].dead = 1
        case "switched by hand": jobs[25].control = ControlRow(enabled: true)
        case "paused": jobs[25].control.paused = true
        case "breaker": jobs[25].breaker.state = "half_open"
        case "failing": jobs[25].failingSince = sampleNow
        case "cancelled": jobs[25].last = Samples.record(7, state: .cancelled, outcome: .cancelled)
        case "overdue": jobs[25].nextFire = sampleNow - .seconds(11)
        default: jobs[25].health = JobHealth(refused: "x")
        }
        let shown = overview(jobs, first: 3)
        #expect(shown.jobs.map(\.name) == ["job-10", "job-11", "job-12", "job-35"], "\(what)")
        #expect(shown.total == 30)
    }

    @Test func whatIsWellIsLeftOut() {
        var jobs = (10..<40).map { plain("job-\($0)") }
        jobs[20].last = nil
        jobs[21].last = Samples.record(40, outcome: .nothingToDo)
        jobs[22].nextFire = nil
        jobs[23].breaker.state = "off"
        // Claimed for its instant, and just due.
        jobs[24].nextFire = sampleNow - .seconds(1)
        #expect(overview(jobs, first: 3).jobs.count == 3)
        #expect(overview(jobs, first: 30).jobs.count == 30)
        #expect(overview(jobs, first: nil).jobs.count == 30)
    }
}
