import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// What people see, word for word, at a fixed instant and width.
struct RenderTests {
    private let plain = Screen(width: 100, color: false, now: sampleNow)

    private func shown(_ arguments: [String], columns: Int) async throws -> String {
        try await withServer { _, socket, _ in
            await speak(arguments + ["--no-color", "--socket", socket], columns: columns).out
        }
    }

    @Test func statusTellsAllAt100Columns() async throws {
        let text = try await shown(["status"], columns: 100)
        #expect(
            text == #"""
            prod-1 · running · up 3h 12m · 3 of 4 jobs on · generation 4 · 1 worker · pid 4242
            /etc/jobhost/jobs.toml

            !  deposits-credit  breaker open, next try in 1m 24s: 5 failures in 60s. Close it:
               jobhost breaker deposits-credit close
            !  deposits-credit  run 39 crashed: exited by signal 11 (SIGSEGV). See: jobhost logs 39
            !  mint  off: switched off by an operator: wrong numbers. Switch it on: jobhost enable mint

               JOB              SCHEDULE      NEXT          LAST                         QUEUE
            ●  candles          every 1m      in 12s        succeeded 47s ago (1.2s)
            ▶  margin-check     cron */10 *…  in 4s         running for 2s 25% accounts
            ✗  deposits-credit  every 10s     probe 1m 30s  crashed 29s ago (1.2s)       3 waiting, 1 dead
            ○  mint             enqueued on…  off           never ran
            
            """#)
    }

    @Test func statusGivesUpColumnsAt60() async throws {
        let text = try await shown(["status"], columns: 60)
        #expect(
            text == #"""
            prod-1 · running · up 3h 12m · 3 of 4 jobs on · generation …
            /etc/jobhost/jobs.toml

            !  deposits-credit  breaker open, next try in 1m 24s: 5
               failures in 60s. Close it:
               jobhost breaker deposits-credit close
            !  deposits-credit  run 39 crashed: exited by signal 11
               (SIGSEGV). See: jobhost logs 39
            !  mint  off: switched off by an operator: wrong numbers.
               Switch it on: jobhost enable mint

               JOB             NEXT          LAST
            ●  candles         in 12s        succeeded 47s ago (1.2s)
            ▶  margin-check    in 4s         running for 2s 25% accounts
            ✗  deposits-cred…  probe 1m 30s  crashed 29s ago (1.2s)
            ○  mint            off           never ran
            
            """#)
    }

    @Test func aJobInDetail() async throws {
        let text = try await shown(["show", "candles"], columns: 100)
        #expect(
            text == #"""
            candles  market.roll
            Rolls trades up into candles.
            schedule  every 1m
            next      2026-05-04 10:00:12Z  in 12s
            enabled   yes
            breaker   closed
            last      run 41 succeeded 47s ago (1.2s)
            recent    ✓·✓✗rT!✓
            library   1a2b3c4d5e6f

            latest
              RUN  STATE          TRIGGER          DUE   TOOK  TRY
               41  succeeded      schedule     49s ago   1.2s  1/4
               40  nothing to do  schedule  1m 48s ago  0.3ms  1/4

            ever
              succeeded  41
              failed     1

            limits
              timeout  30s
              overlap  skip

            settings
              batch  200
              rate   0.10
              token  "***"

            its runs: jobhost runs candles; its log: jobhost logs candles
            
            """#)
    }

    @Test func aDeadLetterInDetail() async throws {
        let text = try await shown(["show", "39"], columns: 100)
        #expect(
            text == #"""
            run 39 of deposits-credit  dead, crashed
            exited by signal 11 (SIGSEGV)
            trigger          schedule
            due              2026-05-04 09:59:28Z  31s ago
            started          2026-05-04 09:59:28Z  31s ago
            finished         2026-05-04 09:59:30Z  29s ago
            took             1.2s
            attempt          4 of 4
            items            12
            cpu              850ms
            idempotency key  deposits-credit@2026-05-04T09:59:28.800Z
            library          1a2b3c4d5e6f
            worker           pid 812
            owner            prod-1

            earlier attempts
            1  timed out  1m 10s ago  30s  no result within 25s; killed 5s later

            not run around it
            55  skipped, breaker open  2026-05-04 09:50:00Z … 09:59:00Z

            its log: jobhost logs 39; again: jobhost dead retry 39; give up: jobhost dead dismiss 39
            
            """#)
    }

    @Test("Runs and audit keep within the 40 columns of a phone", arguments: ["runs", "audit"])
    func narrow(verb: String) async throws {
        let lines = try await shown([verb], columns: 40).split(separator: "\n")
        #expect(lines.count > 1)
        for line in lines { #expect(line.count <= 40, "\(line)") }
    }

    @Test func runsAsATable() async throws {
        let text = try await shown(["runs"], columns: 100)
        #expect(
            text == #"""
            RUN  JOB              STATE                 DUE   TOOK  REASON
             41  candles          succeeded         49s ago   1.2s
              –  deposits-credit  55 skipped         1m ago         breaker open, 2026-05-04 09:50:00Z … 09…
             40  candles          nothing to do  1m 48s ago  0.3ms
             39  deposits-credit  dead, crashed     31s ago   1.2s  exited by signal 11 (SIGSEGV)
             38  mint             available          6s ago         waits: mint is disabled: switched off b…
            
            """#)
    }

    @Test func runsGiveUpColumnsAt60() async throws {
        let text = try await shown(["runs"], columns: 60)
        #expect(
            text == #"""
            RUN  JOB           STATE                 DUE  REASON
             41  candles       succeeded         49s ago
              –  deposits-cr…  55 skipped         1m ago  breaker open,…
             40  candles       nothing to do  1m 48s ago
             39  deposits-cr…  dead, crashed     31s ago  exited by sig…
             38  mint          available          6s ago  waits: mint i…
            
            """#)
    }

    @Test func aReloadsReportWraps() async throws {
        let text = try await shown(["reload"], columns: 60)
        #expect(
            text == #"""
            reloaded in part: generation 5 serves  120ms
            !  jobs.toml:3:1: 'jitter' is longer than 'every'
              ~ plugin changed  market           library 1a2b3c → 4d5e6f
              ~ job changed     candles          schedule
              + job added       fees
              - job removed     old
              ✗ job refused     deposits-credit  the library refused its
                                                 settings: 'rate' must
                                                 be positive
              1 job kept
            
            """#)
    }

    @Test func aPlanSaysWhatItWouldDo() async throws {
        let text = try await shown(["plan"], columns: 100)
        #expect(
            text == #"""
            a reload would:  120ms
            !  jobs.toml:3:1: 'jitter' is longer than 'every'
              ~ change plugin  market           library 1a2b3c → 4d5e6f
              ~ change job     candles          schedule
              + add job        fees
              - remove job     old
              ✗ refuse job     deposits-credit  the library refused its settings: 'rate' must be positive
              1 job kept
            
            """#)
    }

    @Test func pluginsShowTheirEntries() async {
        let text = await speak(["plugin", "inspect", "libX.so"]).out
        #expect(
            text == #"""
            market  2.1
            Market data.
            file    libX.so
            sha256  ab12
            abi     1

            roll  Rolls trades up.
              runs twice safely  yes (idempotent)
              can be cancelled   yes
              default schedule   every 1m
              settings
                batch  integer 1 … 500; required
                mode   "off", "live"; default "off". Whether it acts.
                pair   string; default "XRP/ETH"
                rate   decimal above 0
            
            """#)
    }

    @Test func aHostWithoutJobsSaysWhatToDo() {
        let text = plain.text(StatusView(screen: plain).lines(API.Status(Samples.snapshot([]))))
        #expect(text.hasSuffix("\n\nNo jobs yet. Add a table [jobs.NAME] to /etc/jobhost/jobs.toml, then: jobhost reload\n"))
    }

    @Test func emptyListsSayWhatToTry() async throws {
        try await withServer({ $0.fakeStore.edit { $0 = .init() } }) { _, socket, _ in
            let runs = await speak(["runs", "candles", "--socket", socket])
            #expect(runs.out == "candles has not run yet. Run it now: jobhost trigger candles --wait\n")
            let filtered = await speak(["runs", "--outcome", "failed", "--socket", socket])
            #expect(filtered.out == "No such runs.\n")
            let dead = await speak(["dead", "list", "--socket", socket])
            #expect(dead.out == "No dead letters.\n")
            let logs = await speak(["logs", "candles", "--socket", socket])
            #expect(logs.code == 5)
            #expect(logs.errors == "candles has not run yet\n  Run it now: jobhost trigger candles --wait\n")
        }
    }

    @Test func pausesAndRefusedReloadsAreInTheHeader() {
        var snapshot = Samples.snapshot([Samples.healthy])
        snapshot.control = ControlRow(paused: true, pauseReason: "exchange maintenance", pausedSince: sampleNow - .seconds(300))
        snapshot.hostProblems = [HostProblem(kind: .store, subject: "", text: "the store does not answer; running work continues", since: sampleNow - .seconds(40))]
        var report = Samples.report
        report.accepted = false
        snapshot.lastReload = report
        let lines = StatusView(screen: plain).lines(API.Status(snapshot)).map { $0.text(color: false) }
        #expect(lines[2] == "‖  paused since 5m ago: exchange maintenance. Go on: jobhost resume")
        #expect(lines[3] == "!  the store does not answer; running work continues (for 40s)")
        #expect(lines[4] == "!  the last reload, now, was refused. See: jobhost plan")
        #expect(lines[7].hasPrefix("‖  candles  every 1m  paused"))
    }

    @Test func aRunThatUsedUpItsAttemptsIsMarkedAndNamedOnce() {
        var job = Samples.healthy
        job.last = Samples.record(43, state: .discarded, outcome: .retry, reason: "rate limit")
        job.dead = 1
        let lines = StatusView(screen: plain).lines(API.Status(Samples.snapshot([job]))).map { $0.text(color: false) }
        #expect(lines.contains { $0.hasPrefix("✗  candles") })
        #expect(lines.filter { $0.hasPrefix("!") } == ["!  candles  run 43 used up its attempts: rate limit. See: jobhost logs 43"])
    }

    @Test func aRefusedReloadIsToldOnce() {
        var snapshot = Samples.snapshot([Samples.healthy])
        var report = Samples.report
        report.accepted = false
        report.errors = ["jobs.toml:3:1: no such key"]
        snapshot.hostProblems = [HostProblem(kind: .reload, subject: "", text: "the last reload was refused: jobs.toml:3:1: no such key")]
        snapshot.lastReload = report
        let lines = StatusView(screen: plain).lines(API.Status(snapshot)).map { $0.text(color: false) }
        #expect(
            lines.filter { $0.hasPrefix("!") }
                == ["!  the last reload, now, was refused: jobs.toml:3:1: no such key. See: jobhost plan"])
    }

    @Test func aRunClaimedAheadOfItsTimeIsNotSaidToRun() {
        var record = Samples.record(44, state: .running, outcome: nil)
        record.startedAt = nil
        record.fireTime = sampleNow + .seconds(1)
        #expect(stateText(API.Run(record), now: sampleNow).text(color: false) == "claimed")
        #expect(stateText(API.Run(record), now: sampleNow + .seconds(1)).text(color: false) == "starting")
        record.startedAt = sampleNow + .seconds(1)
        #expect(stateText(API.Run(record), now: sampleNow + .seconds(1)).text(color: false) == "running")
    }

    @Test func colourIsOnAtTerminalsOnly() async throws {
        try await withServer { _, socket, _ in
            let arguments = ["runs", "-n", "1", "--socket", socket]
            let colored = "\u{1B}[32msucceeded\u{1B}[0m"
            let terminal = await speak(arguments, columns: 100)
            #expect(terminal.out.contains(colored))
            let piped = await speak(arguments)
            #expect(!piped.out.contains("\u{1B}"))
            for variables in [["NO_COLOR": "1"], ["TERM": "dumb"]] {
                let plain = await speak(arguments, columns: 100, variables: variables)
                #expect(!plain.out.contains("\u{1B}"))
            }
            let empty = await speak(arguments, columns: 100, variables: ["NO_COLOR": ""])
            #expect(empty.out.contains(colored))
            let told = await speak(arguments + ["--no-color"], columns: 100)
            #expect(!told.out.contains("\u{1B}"))
        }
    }

    /// A plugin's text must not steer the terminal.
    @Test func controlSequencesOfPluginsAreMadeHarmless() {
        let line = API.LogLine(
            t: nil, run: 41, level: "info", stream: "stderr", text: "a\u{1B}[2J\u{9B}b\u{202E}c\td\u{7F}", fields: .object(["k": "\u{1B}]0;x\u{07}"]))
        let text = LogView(screen: plain).line(line).text(color: true)
        #expect(text.replacing(/\u{1B}\[[0-9]+m/, with: "") == "info     stderr  a?[2J?b?c d?  k=?]0;x?")
        #expect(harmless("naïve ✓ 株") == "naïve ✓ 株")
    }

    @Test func textIsMeasuredAndCutByColumns() {
        #expect(Styled("株価").width == 4)
        #expect(Styled("株価x").truncated(to: 4).text(color: false) == "株…")
        #expect(Styled("abc").truncated(to: 3).text(color: false) == "abc")
        #expect(Styled("abcd").lastColumns(3).text(color: false) == "…cd")
        #expect((Styled("ab", .good) + Styled("cd", .bad)).truncated(to: 3).text(color: true) == "\u{1B}[32mab\u{1B}[0m\u{1B}[31m…\u{1B}[0m")
    }

    @Test(arguments: [
        (0, "now"), (999_999, "now"), (1_000_000, "in 1s"), (-12_400_000, "12s ago"), (84_000_000, "in 1m 24s"),
        (600_000_000, "in 10m"), (-3_600_000_000, "1h ago"), (-11_100_000_000, "3h 5m ago"), (187_200_000_000, "in 2d 4h"),
        (Int64.max, "in 106751991d"), (Int64.min, "106751991d ago"),
    ] as [(Int64, String)])
    func relativeTimes(_ microseconds: Int64, _ text: String) {
        #expect(TimeText.relative(Instant(microseconds: microseconds), now: .epoch) == text)
    }

    @Test(arguments: [
        (0, "<0.1ms"), (350, "0.3ms"), (35_000, "35ms"), (1_234_567, "1.2s"), (42_000_000, "42s"), (185_000_000, "3m 5s"),
    ] as [(Int64, String)])
    func durations(_ microseconds: Int64, _ text: String) { #expect(TimeText.took(microseconds) == text) }
}
