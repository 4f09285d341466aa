import ArgumentParser
import JobConfig
import JobCore
import Synchronization
import Testing

@testable import JobHost

struct CLIParsingTests {
    /// Each verb with all that it takes.
    static let verbs: [(arguments: [String], command: any ParsableCommand.Type)] = [
        (["run", "--config", "a.toml"], RunHostCommand.self),
        (["check", "-c", "a.toml", "--json"], CheckCommand.self),
        (["plan", "--socket", "/s", "--json", "--no-color"], PlanCommand.self),
        (["reload", "--reason", "new library"], ReloadCommand.self),
        (["status", "--watch"], StatusCommand.self),
        (["show", "candles"], ShowCommand.self),
        (["next", "candles", "-n", "3", "--from", "now"], NextCommand.self),
        (["next", "--cron", "*/5 * * * *", "--timezone", "Europe/Berlin", "--count", "1"], NextCommand.self),
        (["trigger", "candles", "--payload", "{}", "--wait", "--wait-limit", "5m", "--reason", "x"], TriggerCommand.self),
        (["enqueue", "mint", "--payload", "{}", "--key", "k", "--delay", "5s", "--priority", "3"], EnqueueCommandLine.self),
        (["enqueue", "mint", "--at", "in 5m"], EnqueueCommandLine.self),
        (["runs", "candles", "--state", "discarded", "--outcome", "failed", "--from", "1d ago", "--to", "now", "--before", "7", "-n", "5"], RunsCommand.self),
        (["audit", "mint", "--since", "1d ago", "-n", "5"], AuditCommand.self),
        (["queue", "mint"], QueueCommand.self),
        (["logs", "41", "-f"], LogsCommand.self),
        (["cancel", "41", "--reason", "x"], CancelCommand.self),
        (["retry", "41"], RetryCommand.self),
        (["dead", "list", "mint", "--limit", "5", "--before", "9"], DeadListCommand.self),
        (["dead", "show", "39"], DeadShowCommand.self),
        (["dead", "retry", "39", "--reason", "x"], DeadRetryCommand.self),
        (["dead", "dismiss", "39"], DeadDismissCommand.self), (["dead", "discard", "39"], DeadDismissCommand.self),
        (["enable", "mint", "--as-configured"], EnableCommand.self),
        (["disable", "mint", "--reason", "x"], DisableCommand.self),
        (["pause"], PauseCommand.self),
        (["resume", "mint"], ResumeCommand.self),
        (["breaker", "mint", "open", "--until", "in 2h", "--reason", "x"], BreakerCommand.self),
        (["backfill", "candles", "--from", "2026-05-01", "--to", "2026-05-02", "--dry-run"], BackfillCommand.self),
        (["explain", "candles", "--at", "2026-05-01T00:00:00Z"], ExplainCommand.self),
        (["exec", "candles", "--set", "a=1", "--set", "b=x=y", "--payload", "{}"], ExecCommand.self),
        (["doctor", "candles", "--timeout", "2m"], DoctorCommand.self),
        (["plugin", "inspect", "libX.so"], PluginInspectCommand.self),
        (["schema", "print", "--dialect", "postgresql", "--grants", "--role", "x", "candles"], SchemaPrintCommand.self),
        (["schema", "apply", "--simulation", "candles", "tickers"], SchemaApplyCommand.self),
        (["schema", "check", "--timeout", "2m"], SchemaCheckCommand.self),
    ]

    @Test func everyVerbTakesItsArguments() throws {
        for (arguments, type) in Self.verbs {
            let command = try JobHostCommand.parseAsRoot(arguments)
            #expect(Swift.type(of: command) == type, "\(arguments)")
        }
    }

    @Test(arguments: [
        (["statsu"], "jobhost has no verb 'statsu'\n  did you mean 'jobhost status'?"),
        (["trigge", "candles"], "jobhost has no verb 'trigge'\n  did you mean 'jobhost trigger'?"),
        (["xyzzy"], "jobhost has no verb 'xyzzy'\n  jobhost --help lists the verbs"),
        (["status", "--jsn"], "Did you mean '--json'?"),
        (["trigger"], "Missing expected argument '<job>'"),
        (["next"], "Give either a job or --cron."),
        (["next", "a", "--cron", "* * * * *"], "Give either a job or --cron."),
        (["next", "a", "-n", "0"], "--count is from 1 to 1000."),
        (["enqueue", "mint", "--delay", "1s", "--at", "now"], "Give --delay or --at, not both."),
        (["breaker", "mint", "shut"], "'shut' is invalid"),
        (["breaker", "mint", "close", "--until", "now"], "--until goes with 'open' only."),
        (["cancel", "candles"], "'candles' is invalid"),
        (["explain", "candles", "--at", "noon", "--socket", "/none"], "--at is not a time: 'noon'"),
        (["breaker", "candles", "open", "--until", "10m", "--socket", "/none"], "did you mean \"in 10m\" or \"10m ago\"?"),
        (["trigger", "candles", "--payload", "{a}", "--socket", "/none"], "--payload is not valid JSON at byte 2"),
        (["trigger", "candles", "--payload", "@/nowhere.json", "--socket", "/none"], "cannot read the payload from /nowhere.json"),
        (["enqueue", "mint", "--delay", "soon", "--socket", "/none"], "--delay is not a duration: 'soon'"),
        (["exec", "candles", "--set", "=1", "-c", "x"], "--set takes key=value, found '=1'"),
        (["next", "--cron", "*/61 * * * *"], "--cron: "),
        (["next", "--cron", "* * * * *", "--timezone", "Europe/Berln"], "Europe/Berlin"),
        (["status"], "no config: neither ./jobs.toml nor /etc/jobhost/jobs.toml is there"),
        (["status", "-c", "/nowhere/jobs.toml"], "cannot read /nowhere/jobs.toml"),
    ])
    func wrongArgumentsAreExplainedAndExitWith2(_ arguments: [String], _ message: String) async {
        let spoken = await speak(arguments)
        #expect(spoken.code == 2)
        #expect(spoken.errors.contains(message), "\(spoken.errors)")
        #expect(spoken.out.isEmpty)
    }

    @Test("A config that this user may not see is not said to be missing")
    func aConfigOfOthersIsSaidToBeClosed() async {
        for arguments in [["status"], ["check"]] {
            let spoken = await speak(arguments, denied: ["/etc/jobhost/jobs.toml"])
            #expect(spoken.code == 2)
            #expect(
                spoken.errors.contains("/etc/jobhost/jobs.toml cannot be read by this user") && spoken.errors.contains("sudo -u jobhost jobhost …, or as root"),
                "\(spoken.errors)")
        }
        let missing = await speak(["status"])
        #expect(missing.errors.contains("name it with --config FILE, or the host's socket with --socket PATH"), "\(missing.errors)")
    }

    @Test func helpAndVersionAreNoErrors() async {
        #expect(await speak(["--version"]).out == "1.0.0\n")
        for (arguments, _) in Self.verbs {
            let words = ["dead", "plugin"].contains(arguments[0]) ? 2 : 1
            let help = await speak(Array(arguments.prefix(words)) + ["--help"])
            #expect(help.code == 0)
            #expect(help.out.contains("Example: jobhost "), "\(arguments): every help has an example")
        }
        let script = await speak(["--generate-completion-script", "bash"])
        #expect(script.code == 0)
        #expect(script.out.contains("_jobhost"))
    }

    @Test func timesAreSaidInManyWays() {
        let cases: [(String, String?)] = [
            ("now", "2026-05-04T10:00:00Z"), ("2h ago", "2026-05-04T08:00:00Z"), ("in 5m", "2026-05-04T10:05:00Z"),
            ("+1d", "2026-05-05T10:00:00Z"), ("2026-05-01", "2026-05-01T00:00:00Z"), ("2026-05-01T12:30", "2026-05-01T12:30:00Z"),
            ("2026-05-01 12:30:05", "2026-05-01T12:30:05Z"), ("2026-05-01T12:00:00+02:00", "2026-05-01T10:00:00Z"),
            (" now ", "2026-05-04T10:00:00Z"), ("noon", nil), ("", nil), ("ago", nil), ("2026-13-01", nil), ("5m", nil),
        ]
        for (text, instant) in cases {
            #expect(TimeArgument.instant(text, now: sampleNow + .milliseconds(345))?.rfc3339 == instant, "\(text)")
        }
    }

    @Test func execHandsOverSettingsAndPayload() async throws {
        let seen = Mutex<ExecutionRequest?>(nil)
        let spoken = await speak(
            ["exec", "candles", "-c", "x.toml", "--set", "batch=10", "--set", "rate=0.10", "--set", "pair=XRP/ETH", "--set", "f=a=b", "--payload", #"{"n": 1.10}"#],
            operations: .fake(seen: { request in seen.withLock { $0 = request } }))
        #expect(spoken.code == 0)
        let request = try #require(seen.withLock { $0 })
        #expect(request.config == "x.toml")
        #expect(request.settings.map(\.key) == ["batch", "rate", "pair", "f"])
        #expect(request.settings.map(\.value) == [.number("10"), .number("0.10"), .string("XRP/ETH"), .string("a=b")])
        #expect(request.payload.map { String(decoding: $0, as: UTF8.self) } == #"{"n":1.10}"#)
    }

    @Test func theConfigIsLookedForInOrder() async {
        func config(_ arguments: [String], _ variables: [String: String], _ files: Set<String>) async -> String {
            let seen = Mutex("")
            _ = await speak(
                ["exec", "candles"] + arguments, variables: variables, files: files,
                operations: .fake(seen: { request in seen.withLock { $0 = request.config } }))
            return seen.withLock { $0 }
        }
        let all: Set = ["jobs.toml", "/etc/jobhost/jobs.toml"]
        #expect(await config(["-c", "a.toml"], ["JOBHOST_CONFIG": "b.toml"], all) == "a.toml")
        #expect(await config([], ["JOBHOST_CONFIG": "b.toml"], all) == "b.toml")
        #expect(await config([], ["JOBHOST_CONFIG": ""], all) == "jobs.toml")
        #expect(await config([], [:], ["/etc/jobhost/jobs.toml"]) == "/etc/jobhost/jobs.toml")
    }

    /// The numbers are a promise.
    @Test func exitCodesStayWhatTheyAre() {
        let codes: [(JobHost.ExitCode, Int32)] = [
            (.ok, 0), (.failed, 1), (.usage, 2), (.notRunning, 3), (.refused, 4), (.notFound, 5), (.conflict, 6),
            (.waitedTooLong, 7), (.unavailable, 8), (.retry, 10), (.snoozed, 11), (.cancelled, 12), (.timedOut, 13),
            (.crashed, 14), (.lost, 15), (.notRun, 16),
        ]
        for (code, number) in codes { #expect(code.rawValue == number) }
        #expect(codes.count == JobHost.ExitCode.allCases.count)
        let outcomes: [(Outcome, Int32)] = [
            (.succeeded, 0), (.nothingToDo, 0), (.failed, 1), (.retry, 10), (.snoozed, 11), (.cancelled, 12), (.timedOut, 13),
            (.crashed, 14), (.lost, 15),
        ]
        for (outcome, number) in outcomes { #expect(JobHost.ExitCode(outcome).rawValue == number) }
    }
}
