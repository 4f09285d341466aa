import JobCore
import JobJSON
import JobStore
import Testing

@testable import JobHost

/// What somebody looks for who is called in the night.
struct OperatorViewTests {
    private let plain = Screen(width: 100, color: false, now: sampleNow)

    private func shown(_ arguments: [String], columns: Int) async throws -> String {
        try await withServer { _, socket, _ in
            await speak(arguments + ["--no-color", "--socket", socket], columns: columns).out
        }
    }

    @Test func rangesStandAmongTheRunsInTheOrderOfTime() async throws {
        func range(_ first: Int64, _ last: Int64, _ count: Int64, _ reason: NoRunReason = .paused) -> LedgerRange {
            LedgerRange(job: "candles", reason: reason, first: sampleNow - .seconds(first), last: sampleNow - .seconds(last), count: count)
        }
        try await withServer({ host in
            host.fakeStore.edit { contents in
                contents.runs = (1...4).map { Samples.record($0, ago: 100 - 20 * $0) }
                contents.ranges = [range(5, 5, 1, .overlap), range(35, 30, 6), range(900, 500, 9, .window)]
            }
        }) { _, socket, _ in
            func rows(_ arguments: String...) async -> [String] {
                await speak(["runs", "candles", "--socket", socket] + arguments).out.split(separator: "\n").dropFirst()
                    .map { $0.split(separator: " ").prefix(3).joined(separator: " ") }
            }
            #expect(await rows() == [
                "– candles skipped", "4 candles succeeded", "– candles 6", "3 candles succeeded", "2 candles succeeded",
                "1 candles succeeded", "– candles 9",
            ])
            // Page by page each of them once.
            #expect(await rows("-n", "2") == [
                "– candles skipped", "4 candles succeeded", "– candles 6", "3 candles succeeded", "older ones: --before",
            ])
            #expect(await rows("--before", "3") == ["2 candles succeeded", "1 candles succeeded", "– candles 9"])
            #expect(await rows("--state", "missed") == ["– candles 9"])
            #expect(await rows("--outcome", "succeeded").count == 4)
        }
    }

    @Test func theQueueAsATable() async throws {
        #expect(
            try await shown(["queue"], columns: 100) == #"""
            JOB   WAITING  EMPTY IN      OLDEST  RUNNING  ENDED IN 1m  DEAD
            mint        3       off  1m 40s ago        0            0     1
            dead letters: jobhost dead list

            """#)
        let one = try await shown(["queue", "candles"], columns: 100)
        #expect(one.split(separator: "\n").count == 2)
        #expect(try await shown(["queue", "mnt"], columns: 100).isEmpty)
    }

    @Test func theAuditAsATable() async throws {
        let text = try await shown(["audit"], columns: 120)
        #expect(
            text == #"""
            WHEN                  WHO           VIA  WHAT     JOB              DETAIL            WHY
            2026-05-04 09:59:00Z  root (uid 0)  cli  disable  mint                               wrong numbers
            2026-05-04 09:55:00Z  ops (uid 7)   cli  retry    deposits-credit  run 35 as run 39  the chain is back

            """#)
        let newest = try await shown(["audit", "-n", "1"], columns: 120).split(separator: "\n")
        #expect(newest.count == 3 && newest.last == "older ones: --before 8")
        let next = try await shown(["audit", "-n", "1", "--before", "8"], columns: 120).split(separator: "\n")
        #expect(next.count == 2 && next.last?.contains("run 35 as run 39") == true)
        let since = try await shown(["audit", "--since", "2m ago"], columns: 60)
        #expect(since.split(separator: "\n").count == 2)
        #expect(since.split(separator: "\n").allSatisfy { $0.count <= 60 })
        #expect(try await shown(["audit", "mint", "--since", "now"], columns: 80) == "Nobody has done anything with mint since then.\n")
    }

    @Test func aRunningRunSaysHowLongAndHowFar() async throws {
        try await withServer({ host in
            host.fakeStore.edit { contents in
                var run = Samples.record(42, job: "margin-check", state: .running, outcome: nil)
                run.startedAt = nil
                contents.runs.append(run)
            }
        }) { _, socket, _ in
            let shown = await speak(["show", "42", "--socket", socket]).out
            #expect(shown.hasPrefix("run 42 of margin-check  running\n"))
            for line in [
                "started          2026-05-04 09:59:58Z  2s ago", "running for      2s", "progress         30 of 120 (25%) accounts",
                "worker           pid 900",
            ] { #expect(shown.contains("\n\(line)\n"), "\(shown)") }
            let listed = try JSON(parsing: await speak(["runs", "margin-check", "--json", "--socket", socket]).out)
            #expect(listed["runs"]?.arrayValue?.first?["started_at"] == "2026-05-04T09:59:58Z")
        }
    }

    @Test func whatOperatorsDidWithARunIsShown() async throws {
        try await withServer({ host in
            host.fakeStore.edit { contents in
                var retry = Samples.record(45, job: "deposits-credit")
                retry.retryOf = RunID(39)
                contents.runs.append(retry)
                for (run, reason) in [("39", "the chain is back"), ("390", "another")] {
                    contents.audit.append(
                        AuditRow(
                            at: sampleNow, actor: Actor(name: "ops (uid 7)", via: "cli", reason: reason), action: "retry",
                            job: "deposits-credit", detail: "run \(run) as run 45"))
                }
            }
        }) { _, socket, _ in
            let shown = await speak(["show", "39", "--socket", socket]).out
            #expect(shown.contains("\nretried as       run 45\n"), "\(shown)")
            #expect(
                shown.contains("\nby operators\n  2026-05-04 10:00:00Z  ops (uid 7)  cli  retry  run 39 as run 45  the chain is back\n\n"),
                "\(shown)")
            #expect(await speak(["show", "45", "--socket", socket]).out.contains("\ntrigger          retry of run 39\n"))
            #expect(await speak(["runs", "--socket", socket]).out.contains("  retry of 39  "))
        }
    }

    @Test func aRunWhoseWorkerDoesNotStartIsNotSaidToRun() {
        var job = Samples.running
        job.running[0].startedAt = nil
        func lines() -> [String] {
            StatusView(screen: plain).lines(API.Status(Samples.snapshot([job]))).map { $0.text(color: false) }
        }
        #expect(lines().contains { $0.hasPrefix("▶  margin-check") && $0.contains("starting") })
        job.running[0].problem = "out of descriptors"
        #expect(lines().contains { $0.hasPrefix("!  margin-check") && $0.contains("cannot start") })
        #expect(lines().contains("!  margin-check  run 42 cannot start: out of descriptors. See: jobhost doctor margin-check"))
    }

    @Test(arguments: [
        ("open", 84, "open, next try in 1m 24s: it failed"), ("open", -1, "open, half-open at the next run: it failed"),
        ("forced_open", 84, "forced open, until 2026-05-04 10:01:24Z, in 1m 24s: it failed"),
        ("forced_open", -60, "forced open until 2026-05-04 09:59:00Z, which has passed: half-open at the next run: it failed"),
        ("forced_open", nil, "forced open, until somebody closes it: it failed"), ("closed", nil, "closed, 5 failures: it failed"),
    ] as [(String, Int64?, String)])
    func breakersSayUntilWhen(_ state: String, _ until: Int64?, _ text: String) {
        var job = Samples.broken
        job.breaker.state = state
        job.breaker.reason = "it failed"
        job.breaker.until = until.map { sampleNow + .seconds($0) }
        let view = JobView(screen: Screen(width: nil, color: false, now: sampleNow))
        let lines = view.lines(API.Job(job, host: Samples.snapshot()), latest: API.Runs(runs: [], ranges: [], nextBefore: nil)).map { $0.text(color: false) }
        #expect(lines.contains { $0.hasPrefix("breaker ") && $0.hasSuffix("  \(text)") }, "\(lines)")
    }

    @Test func changedKeysOfTheHostAreNamedInThePlan() {
        var report = ReloadReport(generation: 4, at: sampleNow, accepted: true, milliseconds: 7)
        report.host = [.init(key: "host.max_workers", isApplied: true), .init(key: "host.log_level", isApplied: false)]
        let lines = ReportView(screen: plain, kind: .plan).lines(API.Report(report)).map { $0.text(color: false) }
        #expect(lines == [
            "a reload would:  7ms", "  ~ change key  host.max_workers  takes effect with the reload",
            "  ~ change key  host.log_level    takes effect at the next start of the host",
        ])
    }

    // MARK: Jobs that do not serve, and runs that wait

    private func status(_ change: (inout HostSnapshot) -> Void) -> [String] {
        var snapshot = Samples.snapshot([Samples.healthy])
        change(&snapshot)
        return StatusView(screen: plain).lines(API.Status(snapshot)).map { $0.text(color: false) }
    }

    @Test func aRefusedJobIsARedRowWithItsReason() {
        var refused = JobSnapshot(name: "mint", plugin: "mint", entry: "mint")
        (refused.enabled, refused.refused, refused.waiting) = (false, "libMint.so: cannot open shared object file", 2)
        let lines = status { $0.jobs.append(refused) }
        #expect(lines[0].contains("1 of 2 jobs on"))
        #expect(lines.contains("!  mint  refused: libMint.so: cannot open shared object file. 2 runs of it wait. Mend it, then:"))
        #expect(lines.contains { $0.hasPrefix("✗  mint") && $0.contains("refused") && $0.contains("2 waiting") })
    }

    @Test func removedJobsAreToldUntilTheNextReload() {
        var report = ReloadReport(generation: 5, at: sampleNow - .seconds(3_600), accepted: true)
        report.jobs = (1...18).map { .init(job: "job-\($0)", change: .removed) } + [.init(job: "candles", change: .kept)]
        report.jobsBefore = 19
        let many = status { snapshot in
            snapshot.lastReload = report
            let text = "18 of 19 jobs were removed by the reload at 2026-05-04 09:00:00Z"
            snapshot.hostProblems = [HostProblem(kind: .removal, subject: "", text: text, grade: .warning, since: report.at)]
            snapshot.notes = [text]
        }
        #expect(many.count { $0.contains("18 of 19 jobs were removed by the reload at 2026-05-04 09:00:00Z, 1h ago: job-1,") } == 1)
        #expect(many.count { $0.contains("removed") } == 1)
        report.jobs = [.init(job: "fees", change: .removed), .init(job: "candles", change: .kept)]
        report.jobsBefore = 2
        #expect(status { $0.lastReload = report }.contains { $0.hasPrefix("!  1 job was removed by the reload at") })
        report.jobs = [.init(job: "candles", change: .kept)]
        #expect(!status { $0.lastReload = report }.contains { $0.contains("removed") })
    }

    @Test func anOldFailureIsNoProblemOnceALaterRunHasEndedWell() {
        var job = Samples.healthy
        job.dead = 3
        #expect(!status { $0.jobs = [job] }.contains { $0.hasPrefix("!") }, "its later run did the work")
        #expect(status { $0.jobs = [job] }.contains { $0.contains("3 dead") })
        job.nextFire = nil
        #expect(status { $0.jobs = [job] }.contains("!  candles  3 dead letters. See: jobhost dead list candles"), "each was for a cause of its own")
        job.dead = 0
        job.last = Samples.record(9, state: .discarded, outcome: .failed, ago: 80_000, reason: "no account")
        #expect(status { $0.jobs = [job] }.contains { $0.contains("run 9 failed: no account") })
        job.last = Samples.record(9, state: .discarded, outcome: .failed, ago: 90_000, reason: "no account")
        #expect(!status { $0.jobs = [job] }.contains { $0.hasPrefix("!") }, "nothing later comes by itself: after a day it is no news")
        job.nextFire = sampleNow + .seconds(5)
        #expect(status { $0.jobs = [job] }.contains { $0.contains("run 9 failed: no account") }, "its next run is still to come")
    }

    @Test func theRedNotesComeFirst() {
        var off = Samples.off
        off.name = "a"
        let marks = status { $0.jobs = [off, Samples.broken] }.filter { $0.hasPrefix("!") }
        #expect(marks.first?.contains("deposits-credit") == true)
        #expect(marks.last?.contains("!  a") == true)
    }

    @Test func aRunThatWaitsSaysForWhatAndWhatHelps() async throws {
        try await withServer({ host in
            host.edit { snapshot in
                snapshot.jobs = snapshot.jobs.map { job in
                    var job = job
                    if job.name == "candles" { job.control = ControlRow(paused: true, pauseReason: "maintenance") }
                    return job
                }
            }
        }) { host, socket, _ in
            let triggered = await speak(["trigger", "candles", "--socket", socket])
            #expect(triggered.out.contains("it waits: candles is paused: maintenance. What helps: jobhost resume candles\n"), "\(triggered.out)")
            host.fakeStore.edit { $0.runs.insert(Samples.record(38, state: .available, outcome: nil), at: 0) }
            let shown = await speak(["show", "38", "--socket", socket])
            #expect(shown.out.contains("it waits: candles is paused: maintenance"), "\(shown.out)")
            let listed = await speak(["runs", "--socket", socket])
            #expect(listed.out.contains("waits: candles is paused: maintenance"), "\(listed.out)")
            let json = try await ask(socket, "GET", "/api/v1/runs/38").json
            #expect(json["run"]?["waits_for"]?["cause"] == "paused")
            #expect(json["run"]?["waits_for"]?["command"] == "jobhost resume candles")
        }
    }

    @Test func aRetriedDeadLetterSaysAsWhichRun() async throws {
        try await withServer({ host in
            host.fakeStore.edit { contents in
                var again = Samples.record(50)
                again.retryOf = RunID(41)
                contents.runs = [again, Samples.record(41, state: .cancelled, outcome: .failed)]
            }
        }) { _, socket, _ in
            let spoken = await speak(["dead", "show", "41", "--socket", socket])
            #expect(spoken.code == 6)
            #expect(spoken.errors.hasPrefix("run 41 of candles is no dead letter any longer: it was retried as run 50\n"), "\(spoken.errors)")
        }
    }

    @Test func aNumberMayStandRightBehindItsLetter() async throws {
        try await withServer { _, socket, _ in
            #expect(await speak(["runs", "-n1", "--socket", socket]).out.split(separator: "\n").count == 3)
            #expect(await speak(["next", "--cron", "0 * * * *", "-n3"]).out.split(separator: "\n").count == 3)
        }
    }
}
