import Glibc
import JobCore
import Testing

@testable import JobHost

/// The real worker with a plugin that makes every kind of trouble: only the run concerned is
/// lost, and nothing of it is left.
@Suite(.timeLimit(.minutes(5))) struct RealWorkerTests {
    @Test func aRunSucceedsAndSaysSo() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "good")
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .succeeded)
            #expect(end.items == 3)
            #expect(end.startedAt != nil)
            #expect(end.pid > 0)
            #expect(end.libraryHash == stage.library.sha256)
            await stage.start(2, "nothing")
            let idle = try await stage.end(of: 2)
            #expect(idle.outcome == .nothingToDo)
            #expect(idle.reason == "0 rows")
            #expect(idle.pid == end.pid)
        }
    }

    @Test func aHangingRunIsKilledAfterItsGraceAndTheNextOneRuns() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "hang", timeout: .milliseconds(100), grace: .milliseconds(100))
            await stage.start(2, "good")
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .timedOut)
            #expect(end.reason == "no result within 100ms; killed 100ms later")
            let took = end.finishedAt - (end.startedAt ?? .distantPast)
            #expect(took >= .milliseconds(200))
            let next = try await stage.end(of: 2)
            #expect(next.outcome == .succeeded)
            #expect(next.pid != end.pid)
            #expect(!isAlive(end.pid))
            await stage.worker(.killed)
            // Asked to give way: its pool is gone.
            await stage.configure([])
            await stage.worker(.ended)
        }
    }

    @Test func aRunThatStopsWhenAskedHasTimedOutAndKeepsItsWorker() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "polite", timeout: .milliseconds(50), grace: Stage.longTimeout)
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .timedOut)
            #expect(end.reason == "no result within 50ms; it stopped when asked")
            await stage.start(2, "late", timeout: .milliseconds(50), grace: Stage.longTimeout)
            let late = try await stage.end(of: 2)
            #expect(late.outcome == .succeeded)
            #expect(late.pid == end.pid)
        }
    }

    @Test func anOperatorsCancelIsNoTimeout() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "polite", grace: Stage.longTimeout)
            await stage.start(2, "good")
            _ = await stage.started(1)
            await stage.cancel(2)
            let queued = try await stage.end(of: 2)
            #expect(queued.outcome == .cancelled)
            #expect(queued.startedAt == nil)
            await stage.cancel(1)
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .cancelled)
            #expect(end.reason == "cancelled by an operator")
        }
    }

    @Test(arguments: [
        ("segfault", "exited by signal 11 (SIGSEGV)"),
        ("exit0", "exited with code 0 before a result"),
    ])
    func aCrashCostsOnlyItsRun(entry: String, reason: String) async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool(max: 2)])
            await stage.start(1, "polite")
            await stage.start(2, entry)
            let end = try await stage.end(of: 2)
            #expect(end.outcome == .crashed)
            #expect(end.reason == reason)
            await stage.worker(.crashed)
            await stage.start(3, "good")
            #expect(try await stage.end(of: 3).outcome == .succeeded)
            await stage.cancel(1)
            #expect(try await stage.end(of: 1).outcome == .cancelled)
        }
    }

    @Test func amongRunsThatAWorkerHasTogetherACrashCostsOnlyItsOwn() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool(max: 1)])
            // It learns that they are short.
            await stage.startAll(1...3, "brief")
            for run in 1...3 as ClosedRange<Int64> {
                let end = try await stage.end(of: run)
                #expect(end.outcome == .succeeded)
            }
            for round in 1...5 as ClosedRange<Int64> {
                let first = round * 100
                await stage.startAll("brief", (first...first + 40).map { ($0, $0 == first + 21 ? "\"crash\"" : "") })
                for run in first...first + 20 {
                    let end = try await stage.end(of: run)
                    #expect(end.outcome == .succeeded, "run \(run): \(end.reason)")
                }
                let end = try await stage.end(of: first + 21)
                #expect(end.outcome == .crashed, "\(end.reason)")
                for run in first + 22...first + 40 {
                    // What it had not begun has not been attempted.
                    let event = await stage.event {
                        switch $0 {
                        case .ended(let end): end.run == RunID(run)
                        case .returned(let returned): returned == RunID(run)
                        default: false
                        }
                    }
                    if case .ended(let end) = event { #expect(end.outcome == .succeeded, "run \(run): \(end.reason)") }
                }
            }
            let ends = await stage.events.compactMap { if case .ended(let end) = $0 { end.run } else { nil } }
            #expect(ends.count == Set(ends).count)
        }
    }

    @Test func aCrashIsExplainedByWhatTheRuntimePrinted() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "words")
            let end = try await stage.end(of: 1)
            #expect(end.reason == "exited by signal 4 (SIGILL): Main.swift:3: Fatal error: Index out of range")
        }
    }

    @Test func aGrandchildInASessionOfItsOwnDiesWithTheRun() async throws {
        let stage = try await Stage()
        await stage.configure([await stage.pool()])
        await stage.start(1, "grandchild", grace: .milliseconds(10))
        let pid = try await distantPid(stage)
        #expect(isAlive(pid))
        await stage.cancel(1)
        #expect(try await stage.end(of: 1).outcome == .cancelled)
        await stage.close()
        #expect(ProcFS.stat(pid) == nil)
    }

    @Test func orphansOfACrashedWorkerAreKilledAndReaped() async throws {
        let stage = try await Stage()
        await stage.configure([await stage.pool()])
        await stage.claimReportedPids()
        await stage.start(1, "orphan")
        let pid = try await distantPid(stage)
        #expect(try await stage.end(of: 1).outcome == .crashed)
        await stage.close()
        #expect(ProcFS.stat(pid) == nil)
    }

    @Test func whatWasBelowAWorkerIsKilledBeforeAnybodyHearsOfItsEnd() async throws {
        let stage = try await Stage()
        await stage.configure([await stage.pool()])
        await stage.claimReportedPids()
        await stage.start(1, "orphan")
        let pid = try await distantPid(stage)
        #expect(try await stage.end(of: 1).outcome == .crashed)
        #expect(await stage.aliveAtEnd == [], "\(pid) went on")
        await stage.close()
    }

    private func distantPid(_ stage: Stage) async throws -> Int32 {
        let event = await stage.event { event in
            switch event {
            case .progress, .ended, .returned: true
            default: false
            }
        }
        guard case .progress(_, let done, _, _) = event, done > 1 else { throw TestFailure(text: "no grandchild") }
        return Int32(done)
    }

    @Test func aFloodOfOutputNeitherStopsOthersNorFillsTheDisk() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool(max: 2)])
            await stage.start(1, "flood")
            await stage.start(2, "good")
            let other = try await stage.end(of: 2)
            #expect(other.outcome == .succeeded)
            #expect(try await stage.end(of: 1).outcome == .succeeded)
            await stage.settle()
            let log = text(stage.logs, job: "job-flood", run: 1)
            #expect(log.utf8.count <= 1_100_000)
            #expect(log.hasPrefix(#"{"t":"#))
            #expect(log.contains("line 0 of a flood"))
            #expect(log.contains("bytes left out"))
            #expect(log.contains("the last words"))
        }
    }

    @Test func memoryBeyondTheLimitIsNamed() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool(max: 2, memory: 256_000_000)])
            await stage.start(1, "hoard")
            await stage.start(2, "allocate")
            let hoard = try await stage.end(of: 1)
            #expect(hoard.outcome == .crashed)
            #expect(hoard.reason.hasPrefix("memory limit of 256MB"))
            let allocate = try await stage.end(of: 2)
            #expect(allocate.outcome == .crashed)
            #expect(allocate.reason == "memory limit of 256MB: exited by signal 11 (SIGSEGV)")
        }
    }

    @Test func whatARunPrintsAndLogsIsItsLog() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "print")
            _ = try await stage.end(of: 1)
            await stage.settle()
            let lines = text(stage.logs, job: "job-print", run: 1).split(separator: "\n")
            #expect(lines.count == 3)
            #expect(lines.contains { $0.hasSuffix(#""level":"info","stream":"stdout","text":"to stdout"}"#) })
            #expect(lines.contains { $0.hasSuffix(#""level":"warning","stream":"stderr","text":"to stderr"}"#) })
            #expect(lines.contains { $0.hasSuffix(#""level":"warning","stream":"log","text":"by log","fields":{"n":1}}"#) })
        }
    }

    @Test func silenceBeyondTheHeartbeatIsATimeout() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "beat", grace: Stage.longTimeout, heartbeat: .seconds(1))
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .timedOut)
            #expect(end.reason == "no progress for 1s; it stopped when asked")
            // Each comes 60 ms or more after the one before. On a busy machine the limit may come before the last.
            let beats = await stage.events.count { if case .progress = $0 { true } else { false } }
            let took = end.finishedAt - (end.startedAt ?? .distantPast)
            let least = Duration.seconds(1) + (beats > 0 ? Duration.milliseconds(60) : .zero)
            #expect(took >= least, "\(took) with \(beats)")
        }
    }

    @Test func aSnoozeBeyondReasonIsShortened() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "snooze")
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .snoozed)
            let wait = (end.snoozeUntil ?? .distantPast) - end.finishedAt
            // Counted from when the host heard of it, a moment after the end.
            #expect(wait > .seconds(365 * 86_400) && wait <= .seconds(366 * 86_400 + 60))
            #expect(end.reason == "asked for a time more than 366d away: shortened to that")
        }
    }

    @Test func enqueuesAreCommittedOnlyWithASuccess() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "enqueue")
            let good = try await stage.end(of: 1)
            #expect(good.enqueues == [EnqueueRequest(job: "other", payload: Array(#"{"a":1}"#.utf8), key: "key")])
            await stage.start(2, "enqueue", payload: "{}")
            let bad = try await stage.end(of: 2)
            #expect(bad.outcome == .failed)
            #expect(bad.enqueues == [])
        }
    }

    @Test func aPluginThatClosesTheWireCostsOnlyItsRun() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "deaf", timeout: .milliseconds(300))
            await stage.start(2, "good")
            let end = try await stage.end(of: 1)
            // Its reader may still be waiting on the descriptor that is no more.
            #expect([.crashed, .timedOut].contains(end.outcome))
            #expect(try await stage.end(of: 2).outcome == .succeeded)
        }
    }

    @Test func aBurstOfShortRunsIsServedByFewWorkers() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool(max: 2)])
            await stage.startAll(1...500, "good")
            var pids: Set<Int32> = []
            for run in Int64(1)...500 { pids.insert(try await stage.end(of: run).pid) }
            #expect(pids.count <= 2)
        }
    }

    @Test func whatShortRunsPrintStandsInEachOnesOwnLog() async throws {
        let stage = try await Stage()
        await stage.configure([await stage.pool()])
        let kinds = ["\"out\"", "\"silent\"", "\"both\"", "\"err\"", "\"silent\""]
        func expected(_ run: Int64) -> [String] {
            let line = "run \(run)"
            return switch kinds[Int(run) % kinds.count] {
            case "\"out\"": ["stdout \(line)"]
            case "\"err\"": ["stderr \(line)"]
            case "\"both\"": ["stdout \(line)", "stderr \(line)"]
            default: []
            }
        }
        for batch in [Int64(1)...10, 11...400] {
            await stage.startAll("brief", batch.map { ($0, kinds[Int($0) % kinds.count]) })
            for run in batch { #expect(try await stage.end(of: run).outcome == .succeeded) }
        }
        await stage.close()
        var wrong: [String] = []
        for run in Int64(1)...400 {
            let lines = text(stage.logs, job: "job-brief", run: run).split(separator: "\n").map { line in
                "\(line.contains("stdout") ? "stdout" : "stderr") " + (line.firstRange(of: "run ").map { String(line[$0.lowerBound...].prefix { $0 != "\"" }) } ?? "")
            }
            if lines != expected(run) { wrong.append("\(run): \(lines) instead of \(expected(run))") }
        }
        #expect(wrong == [])
    }

    @Test func aKillThatComesTooLateDoesNotHitTheNextRun() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.startAll("brief", (1...10).map { ($0, "\"silent\"") })
            for run in Int64(1)...10 { _ = try await stage.end(of: run) }
            let (file, next) = (stage.folder.path + "/file", stage.folder.path + "/next")
            await stage.startAll("brief", [(11, "\"wait \(file)\""), (12, "\"wait \(next)\"")])
            let worker = await stage.started(11)
            #expect(try await stage.killTooLate(11, waitingFor: file, nextWaitingFor: next))
            let first = try await stage.end(of: 11)
            #expect(first.outcome == .succeeded, "\(first.reason)")
            try write("", to: next)
            let second = try await stage.end(of: 12)
            #expect(second.outcome == .succeeded && second.pid == worker, "\(second.reason)")
        }
    }

    @Test func aWorkerThatIsKilledForAReasonOfItsOwnIsNoFaultOfItsRun() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "hang")
            await stage.kill(worker: await stage.started(1))
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .lost && end.reason == "its worker was killed by this host")
            await stage.start(2, "good")
            #expect(try await stage.end(of: 2).outcome == .succeeded)
        }
    }

    /// As the self-check sees it and deals with it (RepairTests).
    @Test func aWorkerThatStandsStillIsSeenToOweARunAndIsReplacedWhenItIsKilled() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "good")
            let pid = try await stage.end(of: 1).pid
            #expect(await stage.snapshot().contains(where: \.owesBegin) == false)
            Glibc.kill(pid, SIGSTOP)
            var stopped = siginfo_t()
            try #require(waitid(P_PID, id_t(pid), &stopped, WSTOPPED | WNOWAIT) == 0)
            await stage.start(2, "good")
            let still = try #require(await stage.snapshot().first)
            #expect(still.pid == pid && still.owesBegin && still.runs == 1)
            await stage.kill(worker: pid)
            // Not attempted: whoever asked for it asks again.
            await stage.returned(2)
            await stage.worker(.killed)
            await stage.start(3, "good")
            let end = try await stage.end(of: 3)
            #expect(end.outcome == .succeeded && end.pid != pid)
            let began = await stage.events.contains { if case .started(RunID(2), _, _, _) = $0 { true } else { false } }
            #expect(!began)
        }
    }

    @Test func aMissingWorkerBinaryIsAHostFaultNotTheJobsFault() async throws {
        let stage = try await Stage(worker: "/nonexistent/jobhost-worker")
        await stage.configure([await stage.pool()])
        await stage.start(1, "good")
        let event = await stage.event { if case .hostFault = $0 { true } else { false } }
        guard case .hostFault("trouble", let message?) = event else { throw TestFailure(text: "no message") }
        #expect(message == "cannot start /nonexistent/jobhost-worker: No such file or directory (ENOENT)")
        await stage.stop()
        let returned = await stage.event { if case .returned(RunID(1)) = $0 { true } else { false } }
        guard case .returned = returned else { throw TestFailure(text: "not returned") }
        await stage.close()
    }

    @Test func aReloadLetsTheOldWorkerFinishAndServesFromANewOne() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "polite", grace: Stage.longTimeout)
            let old = await stage.started(1)
            await stage.configure([await stage.pool(environment: ["MODE": "new"])])
            await stage.start(2, "good")
            let new = try await stage.end(of: 2)
            #expect(new.pid != old)
            #expect(isAlive(old))
            await stage.cancel(1)
            let end = try await stage.end(of: 1)
            #expect(end.pid == old)
            #expect(end.outcome == .cancelled)
        }
    }

    @Test func aDrainBeyondItsLimitCancelsAndKills() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "hang", timeout: nil, grace: .milliseconds(50))
            _ = await stage.started(1)
            await stage.configure([], drain: .milliseconds(50))
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .cancelled)
            #expect(end.reason == "it had to give way to a stop or a reload; killed 50ms later")
        }
    }

    @Test func shutdownLeavesNoChildAndNoDescriptor() async throws {
        let stage = try await Stage()
        await stage.configure([await stage.pool(max: 4)])
        for run in Int64(1)...2 { await stage.start(run, "hang") }
        for run in Int64(3)...4 { await stage.start(run, "polite") }
        await stage.start(5, "polite")
        var pids: [Int32] = []
        for run in Int64(1)...4 { pids.append(await stage.started(run)) }
        let pipes = pids.flatMap { pid in [1, 2].map { link("/proc/\(pid)/fd/\($0)") } }
        #expect(pipes.allSatisfy { $0.hasPrefix("pipe:[") })
        await stage.stop(grace: .milliseconds(100))
        for run in Int64(1)...4 { #expect(try await stage.end(of: run).outcome == .cancelled) }
        _ = await stage.event { if case .returned(RunID(5)) = $0 { true } else { false } }
        for pid in pids { #expect(ProcFS.stat(pid) == nil) }
        let own = Set(ProcFS.numericEntries("/proc/self/fd").map { link("/proc/self/fd/\($0)") })
        #expect(own.isDisjoint(with: pipes))
        await stage.close()
    }

    @Test func aSecondStopWithAShorterGraceHastensTheFirst() async throws {
        let stage = try await Stage()
        await stage.configure([await stage.pool()])
        await stage.start(1, "hang", timeout: nil)
        let pid = await stage.started(1)
        async let patient: Void = stage.stop(grace: .seconds(600))
        await stage.stop(grace: .milliseconds(20))
        await patient
        #expect(ProcFS.stat(pid) == nil)
        #expect(try await stage.end(of: 1).outcome == .cancelled)
        await stage.close()
    }

    private func link(_ path: String) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let length = buffer.withUnsafeMutableBytes { space in
            readlink(path, space.baseAddress!.assumingMemoryBound(to: CChar.self), space.count)
        }
        return String(decoding: buffer.prefix(max(0, length)), as: UTF8.self)
    }

    @Test func prewarmedWorkersWaitForTheirRun() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool(max: 2)])
            await stage.prewarm(2)
            #expect(await stage.snapshot().count == 2)
            await stage.start(1, "polite")
            _ = await stage.started(1)
            #expect(await stage.snapshot().map(\.run).contains(RunID(1)))
            await stage.cancel(1)
        }
    }

    @Test func survivorsOfAnEarlierLifeAreKilledOnlyIfTheyAreTheSame() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "hang", timeout: nil)
            let pid = await stage.started(1)
            let worker = try #require(await stage.snapshot().first)
            #expect(worker.pid == pid)
            let boot = Survivors.bootID()
            #expect(boot.utf8.count == 36)
            let other = Survivors.Row(pid: pid, startTime: worker.startTime + 1, bootID: boot)
            let earlier = Survivors.Row(pid: pid, startTime: worker.startTime, bootID: "another boot")
            #expect(Survivors.killSurvivors(rows: [other, earlier]) == [])
            #expect(isAlive(pid))
            let same = Survivors.Row(pid: pid, startTime: worker.startTime, bootID: boot)
            #expect(Survivors.killSurvivors(rows: [same]) == [pid])
            #expect(!isAlive(pid))
            #expect(try await stage.end(of: 1).outcome == .crashed)
        }
    }
}
