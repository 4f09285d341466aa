import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

@Suite("Where hosts of one store differ") struct DefinitionsTests {
    private func row(_ host: String, _ job: String, _ digest: String, _ library: String) -> DefinitionRow {
        DefinitionRow(host: host, job: job, digest: digest, library: library)
    }

    @Test("A sentence for each job of which configs or libraries differ; jobs of one host alone, and equal ones, are none")
    func sentences() {
        #expect(Definitions.differences([]) == [])
        let rows = [
            row("a", "same", "d", "l"), row("b", "same", "d", "l"), row("a", "alone", "d", "l"),
            row("c", "mint", "1", "l"), row("a", "mint", "2", "l"), row("b", "mint", "1", "k"),
            row("a", "fees", "d", "old"), row("b", "fees", "d", "new"),
        ]
        #expect(Definitions.differences(rows) == [
            "job fees: a and b run different libraries of it", "job mint: a, b and c run different configs of it",
        ])
    }

    @Test("A sentence for each job with a label that no living host has")
    func unserved() {
        func job(_ name: String, _ runOn: [String] = []) -> JobConfig {
            var job = JobConfig(name: name, plugin: "p", entry: "e", position: SourcePosition(argument: "x"))
            job.runOn = runOn
            return job
        }
        let jobs = [job("eu-fees", ["eu", "uk"]), job("us-fees", ["us"]), job("anywhere")]
        #expect(Definitions.unserved(jobs, [row("a", "us-fees", "d", "l")]) == [
            "job eu-fees: no host that lives has a label of its run_on (eu, uk): its runs wait, and its fires are decided by its catch_up when one comes",
        ])
    }

    @Test("Two configs of a job are different where any key differs that decides what runs, when, and what becomes of it")
    func digests() throws {
        let entry = EntryDescriptor(
            id: "run", description: "", idempotent: true, cancellable: true, defaultSchedule: "", settingsSchema: "", payloadSchema: "", stateVersion: 0)
        func digest(_ calendar: BusinessCalendar? = nil, workers: String = "", _ change: (inout JobConfig) -> Void) -> String {
            var config = JobConfig(name: "mint", plugin: "p", entry: "run", position: SourcePosition(argument: "x"))
            change(&config)
            return ResolvedJob(
                config: config, entry: entry, pool: "p", libraryHash: "h", settings: Array("{}".utf8), maskedSettings: "{}",
                schedule: .none, zone: .utc, calendar: calendar, calendarZone: .utc
            ).digest(workers)
        }
        let week = Array(repeating: [BusinessCalendar.Session(open: 0, close: 3_600)], count: 7)
        let day = try #require(CivilDate(year: 2026, month: 12, day: 25))
        let changes: [(inout JobConfig) -> Void] = [
            { _ in }, { $0.killGrace = .seconds(6) }, { $0.heartbeat = .seconds(5) }, { $0.isolate = true }, { $0.catchUp.policy = .all },
            { $0.catchUp.window = .seconds(60) }, { $0.catchUp.limit = 7 }, { $0.expiresAfter = .seconds(60) }, { $0.jitter = .seconds(1) },
            { $0.retry.initial = .seconds(1) }, { $0.retry.max = .seconds(3) }, { $0.retry.multiplier = 3 }, { $0.retry.jitter = 0 },
            { $0.retry.maxAttempts = 5 }, { $0.breaker = nil }, { $0.breaker?.failures = 6 }, { $0.breaker?.window = .seconds(60) },
            { $0.breaker?.openFor = .seconds(60) }, { $0.breaker?.successes = 3 }, { $0.retention.age = .seconds(60) }, { $0.retention.runs = 7 },
            { $0.approval = 2 }, { $0.onStart = true }, { $0.timeout = nil }, { $0.concurrency = 2 }, { $0.overlap = .queue }, { $0.priority = 1 },
            { $0.rate = RateLimit(runs: 1, per: .seconds(1)) }, { $0.runOn = ["eu"] }, { $0.enabled = false },
            { $0.labels = ["money"] }, { $0.labels = ["money", "eu"] },
        ]
        let calendars = [
            BusinessCalendar(weekly: week), BusinessCalendar(weekly: []), BusinessCalendar(weekly: week, holidays: [day]),
            BusinessCalendar(weekly: week, halfDays: [day: .closesAt(60)]), BusinessCalendar(weekly: week, halfDays: [day: .sessions([])]),
        ]
        let digests = changes.map { digest(nil, $0) } + calendars.map { digest($0) { _ in } }
        #expect(Set(digests).count == changes.count + calendars.count)
        #expect(digest(workers: "user nobody") { _ in } != digests[0])
        // A host's own affair.
        #expect(digest { $0.logLevel = .error } == digests[0])
        #expect(digest { $0.health.warning.errorsPerHour = 9 } == digests[0])
    }

    @Test("Two configs of a plugin bound its workers differently where any limit, user, name of a variable or part of the sandbox differs; a folder's place is none")
    func bounds() {
        func bounds(in file: String = "/etc/a/jobs.toml", _ change: (inout PluginConfig) -> Void) -> String {
            var plugin = PluginConfig(name: "p", library: "/lib/p.so", position: SourcePosition(argument: "x"))
            change(&plugin)
            return plugin.bounds(in: file)
        }
        func box(_ change: @escaping (inout PluginConfig.Sandbox) -> Void) -> (inout PluginConfig) -> Void {
            {
                var sandbox = PluginConfig.Sandbox()
                change(&sandbox)
                $0.sandbox = sandbox
            }
        }
        let changes: [(inout PluginConfig) -> Void] = [
            { _ in }, { $0.memoryLimit = 1 << 20 }, { $0.fileLimit = 1 << 20 }, { $0.user = "nobody" }, { $0.environment = ["KEY"] },
            { $0.environment = ["KEY", "URL"] }, box { _ in }, box { $0.read = [] }, box { $0.write = [] }, box { $0.read = ["/etc/a/data"] },
            box { $0.write = ["/etc/a/data"] }, box { $0.read = ["/srv"] }, box { $0.network = false }, box { $0.nice = 5 }, box { $0.cpuTime = .seconds(5) },
        ]
        let found = changes.map { bounds($0) }
        #expect(Set(found).count == changes.count)
        #expect(found[0].isEmpty)
        #expect(bounds { $0.environment = ["URL", "KEY"] } == found[5])
        #expect(bounds(in: "/srv/b/jobs.toml", box { $0.read = ["/srv/b/data"] }) == found[9], "beside its config")
        // A host's own affair.
        #expect(bounds { $0.maxWorkers = 3; $0.library = "/other/p.so" }.isEmpty)
    }
}
