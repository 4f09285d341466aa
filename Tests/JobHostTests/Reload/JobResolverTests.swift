import JobConfig
import JobCore
import Testing

@testable import JobHost

@Suite("Fitting jobs to what a library says")
struct JobResolverTests {
    private func faults(
        _ job: JobConfig, _ entry: EntryDescriptor, answer: String? = nil, change: (inout HostConfig) -> Void = { _ in }
    ) -> [String] {
        let resolver = JobResolver(config: config(job, change: change), zones: FixedZones())
        let result = resolver.resolve(
            [job], descriptor: library("1", entry), copy: LibraryCopy(sha256: "aa", path: "/copies/aa"),
            answers: answer.map { [job.name: $0] } ?? [:])
        #expect(result.jobs.count + result.faults.count == 1)
        return result.faults[job.name] ?? []
    }

    @Test("settings are checked against the entry's schema, with places and nearest names")
    func schema() {
        let schema = #"{"type":"object","properties":{"batch":{"type":"integer","minimum":1}},"additionalProperties":false}"#
        #expect(faults(job("a", settings: ["batch": 5]), entry("credit", settings: schema)).isEmpty)
        let wrong = faults(job("a", line: 40, settings: ["batch": 0]), entry("credit", settings: schema))
        #expect(wrong.count == 1)
        #expect(wrong.first?.hasPrefix("jobs.toml:41:1: settings of job 'a': 'batch'") == true, "\(wrong)")
        let unknown = faults(job("a", line: 40, settings: ["bacth": 1]), entry("credit", settings: schema))
        #expect(unknown.first?.contains("batch") == true, "\(unknown)")
    }

    @Test("a schema that cannot be read refuses the job, not the host")
    func badSchema() {
        #expect(faults(job("a"), entry("credit", settings: "{")).first?.contains("settings of entry 'credit' cannot be checked") == true)
        #expect(faults(job("a"), entry("credit", payload: #"{"type":7}"#)).first?.contains("payload of entry 'credit' cannot be checked") == true)
    }

    @Test("an entry with state runs one at a time")
    func state() {
        let stateful = entry("credit", state: 1)
        #expect(faults(job("a"), stateful).isEmpty)
        #expect(faults(job("a") { $0.concurrency = 2 }, stateful) == [
            "jobs.toml:10:1: job 'a': entry 'credit' keeps state, which two runs at once would overwrite; "
                + "concurrency = 2 is not possible (use concurrency = 1 and overlap = \"skip\" or \"queue\")",
        ])
        #expect(faults(job("a") { $0.overlap = .allow }, stateful).count == 1)
        #expect(faults(job("a") { $0.concurrency = 2 }, entry("credit")).isEmpty)
    }

    @Test("without a schedule anywhere the job is refused, with the ways to say one")
    func noSchedule() {
        let said = faults(job("a"), entry("credit", schedule: ""))
        #expect(said.first?.contains("does not say when it runs") == true)
        #expect(faults(job("a") { $0.schedule = ScheduleSpec.none }, entry("credit", schedule: "")).isEmpty)
        #expect(faults(job("a"), entry("credit", schedule: "hourly")).first?.contains("allowed: every DURATION") == true)
    }

    @Test("an unknown zone or calendar refuses the job")
    func zones() throws {
        let cron = try CronExpression("0 0 * * *")
        #expect(faults(job("a") { $0.schedule = .cron(cron, timeZone: "Mars/Base") }, entry("credit")).first?.contains("Mars/Base") == true)
        #expect(faults(job("a") { $0.calendar = "nyze" }, entry("credit")) {
            $0.calendars["nyse"] = CalendarConfig(name: "nyse", timezone: "UTC", calendar: BusinessCalendar(weekly: []))
        } == ["jobs.toml:10:1: job 'a': there is no calendar 'nyze' (did you mean 'nyse'?)"])
    }

    @Test("the library's own answer is told with the place of the settings")
    func answer() {
        #expect(faults(job("a", line: 7), entry("credit"), answer: "no such pair") == [
            "jobs.toml:8:1: settings of job 'a': plugin 'bank' refuses them: no such pair",
        ])
    }
}

@Suite("Pools of a generation")
struct PoolPlanTests {
    private func pools(_ jobs: [JobConfig], hostLimit: Int = 32, change: (inout PluginConfig) -> Void = { _ in }) -> [String: Int] {
        var plugin = PluginConfig(name: "bank", library: "/lib", position: place(1))
        change(&plugin)
        let loaded = LoadedPlugin(config: plugin, copy: LibraryCopy(sha256: "aa", path: "/c"), descriptor: library())
        let resolved = jobs.map { job in
            ResolvedJob(
                config: job, entry: entry("credit"), pool: PoolPlan.key(of: job), libraryHash: "aa", settings: [],
                maskedSettings: "", schedule: .none, zone: .utc, calendar: nil, calendarZone: .utc)
        }
        let byName = Dictionary(uniqueKeysWithValues: resolved.map { ($0.config.name, $0) })
        let specs = PoolPlan.pools(plugins: ["bank": loaded], jobs: byName, hostLimit: hostLimit, environment: [:])
        return Dictionary(uniqueKeysWithValues: specs.map { ($0.key, $0.maxWorkers) })
    }

    @Test("a plugin's pool has as many workers as its jobs run at once")
    func sum() { #expect(pools([job("a"), job("b") { $0.concurrency = 3 }]) == ["bank": 4]) }

    @Test("an isolated job has a pool of its own")
    func isolated() {
        #expect(pools([job("a"), job("b") { $0.isolate = true; $0.concurrency = 2 }]) == ["bank": 1, "bank/b": 2])
        #expect(pools([job("b") { $0.isolate = true }]) == ["bank/b": 1])
    }

    @Test("the host's limit caps, the plugin's own number rules over the sum")
    func caps() {
        #expect(pools([job("a") { $0.concurrency = 100 }]) == ["bank": 32])
        #expect(pools([job("a") { $0.concurrency = 5 }]) { $0.maxWorkers = 2 } == ["bank": 2])
        #expect(pools([job("a") { $0.concurrency = .max }, job("b") { $0.concurrency = .max }], hostLimit: 7) == ["bank": 7])
    }

    @Test("a plugin without jobs has no pool")
    func none() { #expect(pools([]).isEmpty) }
}
