import JobCore
import JobStore
import Testing

@testable import JobHost

/// What a run that has not started waits for, and what starts next of a job.
struct WaitingForTests {
    private func run(_ state: RunState = .available, change: (inout RunRecord) -> Void = { _ in }) -> RunRecord {
        var run = Samples.record(7, job: "mint", state: state, outcome: nil)
        run.startedAt = nil
        change(&run)
        return run
    }

    /// A job that could run, and a host that would let it.
    private func waits(
        _ run: RunRecord? = nil, _ change: (inout JobSnapshot, inout HostSnapshot) -> Void = { _, _ in }
    ) -> WaitingFor? {
        var job = JobSnapshot(name: "mint", plugin: "mint", entry: "mint")
        job.workers = 2
        var host = Samples.snapshot([])
        change(&job, &host)
        return WaitingFor.of(run ?? self.run(), job: job, host: host)
    }

    @Test func nothingKeepsIt() {
        #expect(waits()?.cause == .turn)
        #expect(waits(run(.succeeded)) == nil)
    }

    @Test func theJobIsNotThere() {
        let removed = WaitingFor.of(run(), job: nil, host: Samples.snapshot([]))
        #expect(removed?.cause == .removed)
        #expect(removed?.sentence == "mint is not in the config")
        let refused = waits { job, _ in (job.enabled, job.refused) = (false, "no library") }
        #expect(refused == WaitingFor(.refused, "mint is refused: no library", command: "jobhost plan"))
    }

    @Test func itsRateKeepsIt() {
        let until = sampleNow + .seconds(84)
        #expect(
            waits { job, _ in (job.rate, job.ratedUntil) = ("5 runs in 1m", until) }
                == WaitingFor(
                    .rate, "as many have started as its rate allows (5 runs in 1m); the next may at 2026-05-04 10:01:24Z", until: until))
    }

    @Test func anotherHostHasIt() {
        let sentence = "mint runs on hosts with the label eu or uk, and this is none of them"
        #expect(WaitingFor.ofAbsent(run(), ["eu", "uk"]) == WaitingFor(.elsewhere, sentence, command: "jobhost hosts"))
        var host = Samples.snapshot([])
        host.elsewhere["mint"] = ["eu", "uk"]
        #expect(WaitingFor.of(run(), job: nil, host: host)?.sentence == sentence)
        #expect(WaitingFor.ofAbsent(run(.running), ["eu"]) == nil)
        #expect(WaitingFor.ofAbsent(run(), [])?.sentence == "mint is not among this host's jobs (host.only): another host runs it")
    }

    @Test func somebodyKeepsIt() {
        let since = sampleNow - .seconds(60)
        #expect(
            waits { job, _ in job.control = ControlRow(paused: true, pauseReason: "maintenance", pausedSince: since) }
                == WaitingFor(.paused, "mint is paused since 2026-05-04 09:59:00Z: maintenance", command: "jobhost resume mint"))
        #expect(
            waits { _, host in host.control = ControlRow(paused: true) }
                == WaitingFor(.hostPaused, "the whole host is paused", command: "jobhost resume"))
        #expect(
            waits { job, _ in (job.enabled, job.disabledReason) = (false, "`enabled = false` in the config") }
                == WaitingFor(.disabled, "mint is disabled: `enabled = false` in the config", command: "jobhost enable mint"))
    }

    @Test func theBreakerKeepsIt() {
        let until = sampleNow + .seconds(84)
        let open = waits { job, _ in (job.breaker.state, job.breaker.until, job.breaker.reason) = ("open", until, "5 failures") }
        #expect(
            open == WaitingFor(
                .breaker, "the breaker of mint is open until 2026-05-04 10:01:24Z: 5 failures", until: until,
                command: "jobhost breaker mint close"))
        let forced = waits { job, _ in job.breaker.state = "forced_open" }
        #expect(forced?.sentence == "the breaker of mint is forced open until somebody closes it")
        let over = waits { job, _ in (job.breaker.state, job.breaker.until) = ("open", sampleNow) }
        #expect(over?.cause == .turn, "it goes with the next look")
        let probing = waits { job, _ in
            job.breaker.state = "half_open"
            job.running = [RunningRun(run: RunID(6), attempt: 1, startedAt: sampleNow, pid: 1)]
            job.concurrency = 2
        }
        #expect(probing?.cause == .breaker)
    }

    @Test func itsTimeHasNotCome() {
        let later = sampleNow + .seconds(30)
        #expect(
            waits(run(.scheduled) { $0.availableAt = later })
                == WaitingFor(.time, "it is not to start before 2026-05-04 10:00:30Z", until: later))
        let retried = run(.retryable) { ($0.availableAt, $0.attempt, $0.outcome) = (later, 2, .retry) }
        #expect(waits(retried)?.sentence == "attempt 3 of 4 comes at 2026-05-04 10:00:30Z")
        #expect(waits(run(.scheduled) { ($0.availableAt, $0.outcome) = (later, .snoozed) })?.sentence == "it snoozes until 2026-05-04 10:00:30Z")
        let both = waits(run(.scheduled) { $0.availableAt = later }) { job, _ in job.control.paused = true }
        #expect(both?.cause == .paused)
        #expect(both?.sentence == "mint is paused; and it is not to start before 2026-05-04 10:00:30Z")
    }

    @Test func thereIsNoRoom() {
        let busy = RunningRun(run: RunID(6), attempt: 1, startedAt: sampleNow, pid: 1)
        #expect(
            waits { job, _ in job.running = [busy] }
                == WaitingFor(.concurrency, "run 6 is under way, and its concurrency is 1", command: "jobhost runs mint --state running"))
        #expect(
            waits { job, _ in job.busyWorkers = 2 } == WaitingFor(.workers, "every worker of plugin mint is busy (2 of 2)"))
        #expect(
            waits { job, _ in job.workerProblem = "no such file" }
                == WaitingFor(.worker, "no worker starts: no such file", command: "jobhost doctor mint"))
    }

    @Test func theHostStartsNothing() {
        #expect(waits { _, host in host.phase = "draining" }?.cause == .draining)
        #expect(waits { _, host in host.hold = "the store does not answer: locked" }?.sentence == "the store does not answer: locked")
        #expect(waits { _, host in host.consumes = false }?.cause == .host)
    }

    @Test func aClaimedRunWaitsForItsWorker() {
        let claimed = run(.running)
        var running = RunningRun(run: RunID(7), attempt: 1, startedAt: nil, pid: 0)
        #expect(waits(claimed) { job, _ in job.running = [running] }?.cause == .workers)
        running.problem = "no such file"
        #expect(waits(claimed) { job, _ in job.running = [running] }?.sentence == "no worker starts: no such file")
        running.startedAt = sampleNow
        #expect(waits(claimed) { job, _ in job.running = [running] } == nil)
        let ahead = run(.running) { $0.fireTime = sampleNow + .seconds(1) }
        #expect(waits(ahead)?.until == sampleNow + .seconds(1))
    }

    @Test func whatStartsNext() {
        func next(_ change: (inout JobSnapshot, inout HostSnapshot) -> Void) -> NextStart {
            var job = JobSnapshot(name: "mint", plugin: "mint", entry: "mint")
            job.nextFire = sampleNow + .seconds(5)
            var host = Samples.snapshot([])
            change(&job, &host)
            return NextStart.of(job, host: host)
        }
        let (fire, probe) = (sampleNow + .seconds(5), sampleNow + .seconds(90))
        #expect(next { _, _ in } == NextStart(what: .fire, at: fire))
        #expect(next { job, _ in job.nextFire = nil } == NextStart(what: .nothing, at: nil))
        #expect(next { job, _ in (job.refused, job.enabled) = ("why", false) } == NextStart(what: .refused, at: nil))
        #expect(next { job, _ in job.enabled = false } == NextStart(what: .off, at: nil))
        #expect(next { job, _ in job.control.paused = true } == NextStart(what: .paused, at: nil))
        #expect(next { _, host in host.control.paused = true } == NextStart(what: .paused, at: nil))
        #expect(next { _, host in host.phase = "draining" } == NextStart(what: .stopping, at: nil))
        #expect(next { job, _ in (job.breaker.state, job.nextProbe) = ("open", probe) } == NextStart(what: .probe, at: probe))
        #expect(next { job, _ in job.breaker.state = "forced_open" } == NextStart(what: .held, at: nil))
        #expect(
            next { job, _ in (job.breaker.state, job.breaker.until, job.nextProbe) = ("forced_open", probe, probe) }
                == NextStart(what: .probe, at: probe))
        #expect(next { job, _ in job.breaker.state = "half_open" } == NextStart(what: .probe, at: fire))
    }
}
