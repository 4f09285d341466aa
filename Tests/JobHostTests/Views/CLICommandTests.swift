import Glibc
import JobConfig
import JobCore
import JobJSON
import JobStore
import Synchronization
import Testing

@testable import JobHost

/// Verbs against the real server over a fake host.
struct CLICommandTests {
    @Test func everyActingVerbSendsItsCommand() async throws {
        let wanted: [([String], String, String)] = [
            (["reload"], "reload", "reloaded in part: generation 5 serves"),
            (["trigger", "candles"], #"trigger(job: "candles", payload: nil)"#, "triggered run 43 of candles"),
            (["cancel", "41"], "cancel(run: 41)", "cancelling run 41"),
            (["retry", "41"], "retry(run: 41)", "retrying 41 as run 43"),
            (["dead", "retry", "39"], "retry(run: 39)", "retrying 39 as run 43"),
            (["dead", "dismiss", "39"], "discardDead(run: 39)", "dismissed run 39"),
            (["dead", "discard", "39"], "discardDead(run: 39)", "dismissed run 39"),
            (["enable", "mint"], #"setEnabled(job: "mint", Optional(true))"#, "enabled mint"),
            (["enable", "mint", "--as-configured"], #"setEnabled(job: "mint", nil)"#, "mint is as the config says again"),
            (["disable", "mint"], #"setEnabled(job: "mint", Optional(false))"#, "disabled mint"),
            (["pause"], "setPaused(job: nil, true)", "paused the whole host"),
            (["resume", "mint"], #"setPaused(job: Optional("mint"), false)"#, "resumed mint"),
            (["breaker", "mint", "reset"], "reset", "breaker of mint: closed, with a clean memory"),
            (["breaker", "mint", "open", "--until", "in 2h"], "open(until:", "breaker of mint: open until 2026-05-04 12:00:00Z, in 2h"),
            (["backfill", "candles", "--from", "2026-05-01", "--to", "2026-05-02", "--dry-run"], "dryRun: true", "would put 14 runs of candles into its queue:"),
            (["enqueue", "mint", "--payload", "{\"a\":0.10}", "--delay", "30s", "--priority", "7"], "priority: Optional(7)", "enqueued run 44 of mint"),
            (["enqueue", "mint", "--key", "taken"], #"key: Optional("taken")"#, "run 44 of mint has this key already and is available; nothing was added"),
        ]
        try await withServer { host, socket, _ in
            for (index, (arguments, command, said)) in wanted.enumerated() {
                let spoken = await speak(arguments + ["--socket", socket, "--reason", "because"])
                #expect(spoken.code == (arguments == ["reload"] ? 4 : 0), "\(arguments): \(spoken.errors)")
                #expect(spoken.out.contains(said), "\(arguments): \(spoken.out)")
                let (done, actor) = try #require(host.commands.dropFirst(index).first)
                #expect("\(done)".contains(command), "\(arguments): \(done)")
                #expect(actor.reason == "because")
                #expect(actor.via == "cli")
            }
        }
    }

    @Test func readingVerbsPrintWhatTheHostAnsweredAsJSON() async throws {
        let verbs: [([String], String)] = [
            (["status"], "/api/v1/status"), (["show", "candles"], "/api/v1/jobs/candles"), (["show", "39"], "/api/v1/runs/39"),
            (["runs", "candles", "-n", "1"], "/api/v1/runs?job=candles&limit=1"), (["dead", "list"], "/api/v1/dead?limit=20"),
            (["dead", "show", "39"], "/api/v1/runs/39"), (["next", "candles"], "/api/v1/jobs/candles/next?count=5"),
            (["audit", "mint", "--from", "1h ago"], "/api/v1/audit?job=mint&from=2026-05-04T09:00:00Z&limit=20"),
            (["audit", "mint", "--since", "1h ago"], "/api/v1/audit?job=mint&from=2026-05-04T09:00:00Z&limit=20"),
            (["explain", "candles", "--at", "2026-05-04T10:00:00Z"], "/api/v1/jobs/candles/explain?at=2026-05-04T10:00:00Z"),
        ]
        try await withServer { _, socket, _ in
            for (arguments, path) in verbs {
                let spoken = await speak(arguments + ["--json", "--socket", socket])
                #expect(spoken.code == 0, "\(arguments): \(spoken.errors)")
                let answered = try await ask(socket, "GET", path).json
                #expect(try JSON(parsing: spoken.out) == answered, "\(arguments)")
                #expect(spoken.out == answered.prettyText + "\n")
            }
        }
    }

    @Test func aHostThatIsNotThereHasItsSentenceAndCode() async throws {
        let folder = try TestFolder()
        let socket = folder.path + "/jobhost.sock"
        for arguments in [["status"], ["runs"], ["trigger", "candles"], ["reload"], ["plan"], ["logs", "41"]] {
            let spoken = await speak(arguments + ["--socket", socket])
            #expect(spoken.code == 3)
            #expect(spoken.errors == "jobhost is not running here (no answer on \(socket))\n  Start it with: jobhost run\n")
        }
    }

    @Test func theConfigLeadsToTheSocketAndIsNamedInTheAdvice() async throws {
        let folder = try TestFolder()
        let config = folder.path + "/jobs.toml"
        try Files.write("[host]\nstate_dir = \"state\"\n", to: config)
        let spoken = await speak(["status", "--config", config])
        #expect(spoken.code == 3)
        #expect(spoken.errors.contains("no answer on \(folder.path)/state/jobhost.sock"))
        #expect(spoken.errors.contains("Start it with: jobhost run --config \(config)"))
    }

    @Test func afterStateDirWasEditedTheOldSocketIsNamed() async throws {
        let folder = try TestFolder()
        let config = folder.path + "/jobs.toml"
        try Files.write("[host]\nstate_dir = \"elsewhere\"\n", to: config)
        let unknown = await speak(["status", "--config", config])
        #expect(unknown.errors.hasPrefix("jobhost is not running here (no answer on \(folder.path)/elsewhere/jobhost.sock, the state_dir of \(config))\n"))
        #expect(unknown.errors.contains("was state_dir edited since?"))
        let old = folder.path + "/var/jobhost.sock"
        let known = await speak(["status", "--config", config], files: [old])
        #expect(known.code == 3)
        #expect(known.errors.hasSuffix("\n  There is a socket of one: --socket \(old)\n"))
    }

    @Test func aSocketThatNobodyAnswersIsNotNamedAsAnother() async throws {
        let folder = try TestFolder()
        let config = folder.path + "/jobs.toml"
        try Files.write("", to: config)
        mkdir(folder.path + "/var", 0o755)
        let left = folder.path + "/var/jobhost.sock"
        try Files.write("", to: left)
        let spoken = await speak(["status", "--config", config], files: [left])
        #expect(spoken.code == 3)
        #expect(!spoken.errors.contains("There is a socket of one"))
    }

    @Test func aBrokenConfigDoesNotHideTheHostThatRuns() async throws {
        try await withServer { _, socket, _ in
            let folder = String(socket.dropLast("/jobhost.sock".count))
            let config = folder + "/jobs.toml"
            try Files.write("[host\n", to: config)
            Files.makeFolder(folder + "/var")
            Files.link(socket, folder + "/var/jobhost.sock")
            let spoken = await speak(["status", "--config", config], files: [folder + "/var/jobhost.sock"])
            #expect(spoken.code == 0, "\(spoken.errors)")
            let lost = await speak(["status", "--config", config])
            #expect(lost.code == 2)
            #expect(lost.errors.contains("\(config):1:"))
        }
    }

    @Test(arguments: [
        "[host]\n  state_dir = STATE # here\n[jobs.tick]\nevry = \"1s\"\n", "[host]\nstate_dir = STATE\n[jobs.tick\n", "[host]\n\tstate_dir = STATE\nx\n",
        "[host]\nstate_dir = STATE\ninclude = [\"jobs.d/*.toml\"]\n", "[host]\r\nstate_dir_old = \"old\"\r\nstate_dir = STATE\r\nx\r\n",
        "host.state_dir = STATE\nx\n",
    ])
    func aBrokenConfigStillLeadsToTheStateThatItNames(text: String) async throws {
        try await withServer { _, socket, _ in
            let state = String(socket.dropLast("/jobhost.sock".count))
            let folder = try TestFolder()
            let config = folder.path + "/jobs.toml"
            Files.makeFolder(folder.path + "/jobs.d")
            try Files.write("[jobs.half", to: folder.path + "/jobs.d/half.toml")
            try Files.write(text.replacing("STATE", with: "\"\(state)\""), to: config)
            let spoken = await speak(["status", "--config", config], files: [socket])
            #expect(spoken.code == 0, "\(spoken.errors)")
            // Where nobody listens, the mistake is what there is to say.
            #expect(await speak(["status", "--config", config]).code == 2)
        }
    }

    @Test func unknownNamesGetTheNearestOne() async throws {
        try await withServer { _, socket, _ in
            let spoken = await speak(["show", "candels", "--socket", socket])
            #expect(spoken.code == 5)
            #expect(spoken.errors == "there is no job 'candels'\n  did you mean 'candles'?\n")
        }
    }

    @Test func refusalsHaveTheirExitCodes() async throws {
        let kinds: [(CommandError.Kind, Int32)] = [(.notFound, 5), (.invalid, 2), (.conflict, 6), (.unavailable, 8)]
        try await withServer { host, socket, _ in
            for (kind, code) in kinds {
                host.fail(with: CommandError(kind, "it cannot be", hint: "do that"))
                let spoken = await speak(["pause", "--socket", socket])
                #expect(spoken.code == code)
                #expect(spoken.errors == "it cannot be\n  do that\n")
            }
        }
    }

    @Test(arguments: [
        (RunState.succeeded, Outcome.succeeded, Int32(0)), (.succeeded, .nothingToDo, 0), (.discarded, .failed, 1),
        (.discarded, .timedOut, 13), (.discarded, .crashed, 14), (.cancelled, .cancelled, 12), (.discarded, .lost, 15),
        (.skipped, .succeeded, 16),
    ])
    func waitingTellsHowItEnded(_ state: RunState, _ outcome: Outcome, _ code: Int32) async throws {
        try await withServer { host, socket, _ in
            host.fakeStore.edit { $0.runs.append(Samples.record(43, state: .running, outcome: nil)) }
            let clock = ManualCLIClock(onNap: { left in
                guard left == 997 else { return }
                host.fakeStore.edit { contents in
                    contents.runs.removeAll { $0.id == RunID(43) }
                    contents.runs.append(Samples.record(43, state: state, outcome: state == .skipped ? nil : outcome))
                }
            })
            let spoken = await speak(["trigger", "candles", "--wait", "--socket", socket], clock: clock)
            #expect(spoken.code == code, "\(spoken.errors)")
            #expect(spoken.out.contains("run 43 of candles "))
        }
    }

    @Test func waitingIsGivenUpAtItsLimit() async throws {
        try await withServer { host, socket, _ in
            host.fakeStore.edit { $0.runs.append(Samples.record(43, state: .running, outcome: nil)) }
            let spoken = await speak(["trigger", "candles", "--wait", "--wait-limit", "5s", "--socket", socket])
            #expect(spoken.code == 7)
            #expect(spoken.errors.hasPrefix("run 43 of candles is still running after 5s\n"))
        }
    }

    @Test func followingALogEndsWithTheRun() async throws {
        try await withServer { host, socket, _ in
            host.fakeStore.edit { $0.runs.append(Samples.record(50, state: .running, outcome: nil)) }
            let write: @Sendable (String) -> Void = { text in
                host.runLogs.append(run: RunID(50), job: "candles", LogLine(at: sampleNow, level: .warning, stream: .log, text: text))
            }
            write("first")
            let clock = ManualCLIClock(onNap: { left in
                guard left == 998 else { return }
                write("last")
                host.runLogs.close(run: RunID(50))
                host.close()
                host.fakeStore.edit { contents in
                    contents.runs.removeAll { $0.id == RunID(50) }
                    contents.runs.append(Samples.record(50))
                }
            })
            let spoken = await speak(["logs", "50", "--follow", "--socket", socket], clock: clock)
            #expect(spoken.code == 0, "\(spoken.errors)")
            #expect(spoken.out == "10:00:00.000  warning  first\n10:00:00.000  warning  last\n")
            let json = await speak(["logs", "candles", "--json", "--socket", socket])
            let lines = json.out.split(separator: "\n")
            #expect(lines.count == 2)
            #expect(lines.first == #"{"fields":null,"level":"warning","run":50,"stream":"log","t":"2026-05-04T10:00:00Z","text":"first"}"#)
        }
    }

    /// A run may begin after one with a larger number: its log comes after that one's.
    @Test func followingAJobGoesByTheOrderOfStarts() async throws {
        try await withServer { host, socket, _ in
            host.fakeStore.edit { $0.runs = [Samples.record(52, ago: 60)] }
            for run in [52, 51, 53] as [Int64] {
                host.runLogs.append(run: RunID(run), job: "candles", LogLine(at: sampleNow, level: .info, stream: .log, text: "of \(run)"))
                host.runLogs.close(run: RunID(run))
            }
            host.close()
            let clock = ManualCLIClock(naps: 4, onNap: { left in
                host.fakeStore.edit { contents in
                    if left == 3 { contents.runs.append(Samples.record(51, ago: 40, reason: "late")) }
                    if left == 2 { contents.runs.append(Samples.record(53, ago: 20)) }
                }
            })
            let spoken = await speak(["logs", "candles", "--follow", "--socket", socket], clock: clock)
            #expect(spoken.out.split(separator: "\n").map { $0.suffix(5) } == ["of 52", "of 51", "of 53"])
            let notes = spoken.errors.split(separator: "\n").prefix(4)
            #expect(notes.elementsEqual(["— run 52 —", "— run 52 succeeded in 1.2s —", "— run 51 —", "— run 51 succeeded in 1.2s: late —"]))
        }
    }

    @Test func aJobsLogIsThatOfItsNewestStartedRun() async throws {
        try await withServer { host, socket, _ in
            // Claimed ahead of its fire time, and not started: it has no log.
            host.fakeStore.edit { $0.runs.append(Samples.record(60, state: .running, outcome: nil, ago: -2)) }
            for (run, job) in [(41, "candles"), (42, "margin-check")] as [(Int64, String)] {
                host.runLogs.append(run: RunID(run), job: job, LogLine(at: sampleNow, level: .info, stream: .log, text: "of \(run)"))
                host.runLogs.close(run: RunID(run))
            }
            host.fakeStore.edit { $0.runs.append(Samples.record(42, job: "margin-check", state: .running, outcome: nil)) }
            host.close()
            let ended = await speak(["logs", "candles", "--socket", socket])
            #expect(ended.out == "10:00:00.000  info     of 41\n")
            let running = await speak(["logs", "margin-check", "--socket", socket])
            #expect(running.out == "10:00:00.000  info     of 42\n")
        }
    }

    @Test func watchingRedrawsInPlaceAndSurvivesTheHostsAbsence() async throws {
        let shown = try await withServer { _, socket, _ in
            await speak(["status", "--watch", "--socket", socket, "--no-color"], columns: 100, clock: ManualCLIClock(naps: 2)).out
        }
        let pictures = shown.split(separator: "\u{1B}[13F\u{1B}[J", omittingEmptySubsequences: false)
        #expect(pictures.count == 2, "\(shown)")
        let folder = try TestFolder()
        let gone = await speak(["status", "--watch", "--socket", folder.path + "/none"], columns: 100, clock: ManualCLIClock(naps: 2))
        #expect(gone.out.contains("Waiting for it."))
    }

    @Test func nextWorksWithoutAHost() async throws {
        let cron = await speak(["next", "--cron", "30 2 * * *", "--timezone", "America/New_York", "--from", "2025-03-08T12:00:00Z", "-n", "2", "--json"])
        #expect(cron.code == 0, "\(cron.errors)")
        #expect(try JSON(parsing: cron.out)["fires"] == .array(["2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"]))
        let shown = await speak(["next", "--cron", "30 2 * * *", "--timezone", "America/New_York", "--from", "2025-03-08T12:00:00Z", "-n", "2"])
        #expect(shown.out.split(separator: "\n").map { $0.prefix(45) } == [
            "2025-03-09 07:00:00Z  2025-03-09 03:00:00 EDT", "2025-03-10 06:30:00Z  2025-03-10 02:30:00 EDT",
        ])
        let folder = try TestFolder()
        let config = folder.path + "/jobs.toml"
        try Files.write("[plugins.p]\nlibrary = \"libP.so\"\n[jobs.tick]\nplugin = \"p\"\nentry = \"e\"\nevery = \"90s\"\n", to: config)
        try Files.write("", to: folder.path + "/libP.so")
        let job = await speak(["next", "tick", "-n", "2", "--config", config])
        #expect(job.code == 0, "\(job.errors)")
        #expect(job.out == "2026-05-04 10:01:30Z  in 1m 30s\n2026-05-04 10:03:00Z  in 3m\n")
        let inBerlin = await speak(["next", "tick", "-n", "1", "--timezone", "Europe/Berlin", "--config", config])
        #expect(inBerlin.out == "2026-05-04 10:01:30Z  2026-05-04 12:01:30 CEST  in 1m 30s\n")
        let nowhere = await speak(["next", "tick", "--timezone", "Europe/Berlim", "--config", config])
        #expect(nowhere.code == 2 && nowhere.errors.contains("Europe/Berlin"), "\(nowhere.errors)")
        let unknown = await speak(["next", "tik", "--config", config])
        #expect(unknown.code == 5)
        #expect(unknown.errors.contains("did you mean 'tick'?"))
    }

    @Test("Fires that the calendar leaves out are marked, by the host and without one")
    func nextMarksClosedFires() async throws {
        let folder = try TestFolder()
        let config = folder.path + "/jobs.toml"
        try Files.write(
            """
            [calendars.desk]
            timezone = "UTC"
            sessions = { mon-fri = ["09:00-17:00"] }
            [plugins.p]
            library = "libP.so"
            [jobs.tick]
            plugin = "p"
            entry = "e"
            cron = "0 12 * * *"
            calendar = "desk"
            """, to: config)
        try Files.write("", to: folder.path + "/libP.so")
        let own = await speak(["next", "tick", "-n", "2", "--from", "2026-05-08T00:00:00Z", "--config", config])
        let lines = own.out.split(separator: "\n")
        #expect(lines.count == 2, "\(own.errors)")
        #expect(lines.first?.contains("skipped") == false)
        #expect(lines.last?.hasSuffix("skipped by its calendar: 2026-05-09 (Saturday) has no session") == true, "\(own.out)")
        try await withServer { _, socket, _ in
            let said = await speak(["next", "candles", "-n", "3", "--socket", socket])
            #expect(said.out.split(separator: "\n").map { $0.contains("skipped by its calendar: 2025-06-01 (Sunday) has no session") } == [false, true, false], "\(said.out)")
        }
    }

    @Test(arguments: Outcome.allCases)
    func execExitsByOutcome(_ outcome: Outcome) async {
        let execution = API.Execution(job: "candles", outcome: outcome, reason: "so it went", code: 7, items: 3, durationUs: 1_234_567)
        let spoken = await speak(["exec", "candles", "-c", "x.toml"], operations: .fake(execution: execution))
        #expect(spoken.code == JobHost.ExitCode(outcome).rawValue)
        #expect(spoken.out == "10:00:00.000  info     hello  n=1.10\ncandles \(outcome.words) in 1.2s, 3 items, code 7: so it went\n")
        let json = await speak(["exec", "candles", "-c", "x.toml", "--json"], operations: .fake(execution: execution))
        #expect(json.errors == "10:00:00.000  info     hello  n=1.10\n")
        #expect((try? JSON(parsing: json.out))?["outcome"] == .string(outcome.rawValue))
    }

    @Test func checkAndPlanSayByTheirCodeWhatWouldServe() async throws {
        var clean = Samples.report
        clean.jobs.removeAll { $0.change == .refused }
        var broken = clean
        broken.accepted = false
        broken.errors = ["jobs.toml:3:1: unknown key 'evry' (did you mean 'every'?)"]
        for (report, check, plan) in [(clean, Int32(0), Int32(0)), (Samples.report, 4, 4), (broken, 2, 4)] {
            #expect(await speak(["check", "-c", "x.toml"], operations: .fake(report: report)).code == check)
            let folder = try TestFolder()
            try Files.write("[host]\nstate_dir = \".\"\n", to: folder.path + "/jobs.toml")
            let planned = await speak(["plan", "-c", folder.path + "/jobs.toml"], operations: .fake(report: report))
            #expect(planned.code == plan)
            #expect(planned.errors == "no host runs here: this is what a start would load\n")
        }
    }

    @Test func doctorFailsOnFaultsOnly() async throws {
        let warning = Doctor.Finding("clock", .warn, "nothing synchronises it")
        let fault = Doctor.Finding("worker", .fail, "it is not there")
        #expect(await speak(["doctor", "-c", "x"], operations: .fake(findings: [warning])).code == 0)
        let spoken = await speak(["doctor", "-c", "x", "--json"], operations: .fake(findings: [warning, fault]))
        #expect(spoken.code == 1)
        #expect(
            try JSON(parsing: spoken.out).canonicalText
                == #"{"findings":[{"level":"warn","name":"clock","sentence":"nothing synchronises it"},{"level":"fail","name":"worker","sentence":"it is not there"}],"level":"fail"}"#
        )
    }

    @Test func doctorHandsOverJobAndTime() async throws {
        let asked = Mutex<[DoctorRequest]>([])
        let operations = HostOperations.fake(examined: { request in asked.withLock { $0.append(request) } })
        #expect(await speak(["doctor", "-c", "x"], operations: operations).code == 0)
        #expect(await speak(["doctor", "candles", "-c", "x", "--timeout", "2m"], operations: operations).code == 0)
        for bad in ["0s", "soon"] {
            #expect(await speak(["doctor", "candles", "-c", "x", "--timeout", bad], operations: operations).code == 2)
        }
        #expect(asked.withLock { $0 } == [
            DoctorRequest(config: "x", timeout: .seconds(30)), DoctorRequest(config: "x", job: "candles", timeout: .seconds(120)),
        ])
    }

    @Test func schemaPrintsWhatTheJobsNeedOnce() async throws {
        let asked = Mutex<[SchemaInquiry]>([])
        let answers = [
            API.SchemaAnswer(jobs: ["candles"], level: .ok, object: "table pairs", text: "CREATE TABLE pairs (\n    id bigint\n);"),
            API.SchemaAnswer(jobs: ["candles"], level: .warn, object: "index x", text: "pairs has no such index"),
            API.SchemaAnswer(jobs: ["tickers"], level: .ok, object: "table pairs", text: "CREATE TABLE pairs (\n    id bigint\n);"),
        ]
        let operations = HostOperations.fake(schema: { inquiry in
            asked.withLock { $0.append(inquiry) }
            return answers.merged()
        })
        let printed = await speak(["schema", "print", "candles", "tickers", "-c", "x", "--dialect", "postgresql"], operations: operations)
        #expect(printed.code == 0)
        #expect(printed.out == "\nCREATE TABLE pairs (\n    id bigint\n);\n\n-- candles: index x: pairs has no such index\n")
        let checked = await speak(["schema", "check", "-c", "x", "--json"], operations: operations)
        #expect(checked.code == 0)
        #expect(try JSON(parsing: checked.out)["answers"]?.arrayValue?.first?["jobs"]?.text == #"["candles","tickers"]"#)
        #expect(await speak(["schema", "apply", "-c", "x", "--timeout", "0s"], operations: operations).code == 2)
        #expect(asked.withLock { $0 } == [
            SchemaInquiry(
                config: "x", jobs: ["candles", "tickers"], request: .init(action: "print", dialect: "postgresql"), timeout: .seconds(30)),
            SchemaInquiry(config: "x", jobs: [], request: .init(action: "check"), timeout: .seconds(30)),
        ])
    }

    @Test func schemaFailsWhereSomethingIsMissing() async throws {
        let missing = HostOperations.fake(schema: { _ in
            [API.SchemaAnswer(jobs: ["candles"], level: .fail, object: "table candles", text: "there is none")]
        })
        for verb in ["print", "check", "apply"] { #expect(await speak(["schema", verb, "-c", "x"], operations: missing).code == 1) }
    }

    @Test func runHandsOverItsExitCode() async {
        #expect(await speak(["run", "-c", "x.toml"], operations: .fake(run: 0)).code == 0)
        #expect(await speak(["run", "-c", "x.toml"], operations: .fake(run: 2)).code == 2)
    }
}
