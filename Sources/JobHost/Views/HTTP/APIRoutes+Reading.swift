import Hummingbird
import JobConfig
import JobCore
import JobStore

extension APIRoutes {
    private func get(
        _ path: String, _ summary: String, query allowed: [String] = [],
        _ body: @escaping @Sendable (APIContext, APIQuery) async throws -> Response
    ) -> Route {
        Route(method: .get, path: path, summary: summary, query: allowed) { request, context in
            try await body(context, APIQuery(request.uri.query, allowed: allowed))
        }
    }

    var reading: [Route] { readingHost + readingJobs + readingRuns }

    private var readingHost: [Route] {
        [
            get("/status", "the host and its jobs at one instant") { _, _ in
                try answer(API.Status(await shelf.snapshot()))
            },
            get("/overview", "the host and its jobs, one short entry each", query: ["job", "first", "recent"]) { _, query in
                let names = query.text("job").map { Set($0.split(separator: ",").map(String.init)) }
                let recent = Int(try query.integer("recent", in: 0...20) ?? 0)
                let first = try query.integer("first", in: 1...10_000).map { Int($0) }
                return try answer(API.Overview(await shelf.snapshot(), names: names, first: first, recent: recent))
            },
            get("/host", "the host without its jobs") { _, _ in try answer(API.Host(await shelf.snapshot())) },
            get("/hosts", "the hosts that share the store") { _, _ in
                let host = await shelf.snapshot()
                var rows = try await control.store.hosts()
                if rows.isEmpty {
                    rows = [HostRow(
                        name: host.name, since: host.startedAt, seen: host.now, isAlive: true, version: host.version,
                        running: Int64(host.jobs.reduce(0) { $0 + $1.running.count }))]
                }
                return try answer(API.Hosts(hosts: rows.map { API.ServingHost($0, isThis: $0.name == host.name) }))
            },
            get("/alerts", "what is wrong now, and who is told") { _, _ in try answer(await alerts.shown()) },
            get("/asks", "requests for a second person's approval, the newest first", query: ["before", "limit"]) { _, query in
                let (asks, next) = try await page(query, limit: 50, number: \.id) { try await control.store.asks(before: $0, limit: $1) }
                let now = await shelf.snapshot().now
                return try answer(API.Asks(asks: asks.map { API.Ask($0, now: now) }, nextBefore: next))
            },
            get("/caller", "who you are to the host, and whether you may act") { context, _ in
                try answer(API.Caller(name: context.caller?.name ?? "unknown", mayAct: context.caller?.mayAct ?? false))
            },
            get("/plugins", "loaded plugins") { _, _ in
                try answer(API.Plugins(plugins: await shelf.snapshot().plugins.map(API.Plugin.init)))
            },
            get("/plugins/{plugin}/versions", "libraries it has served with") { context, _ in
                let (name, plugins) = (try pluginName(context), await shelf.snapshot().plugins)
                guard let plugin = plugins.first(where: { $0.name == name }) else {
                    throw CommandError.unknownPlugin(name, among: plugins.map(\.name))
                }
                return try answer(API.PluginVersions(plugin))
            },
            get("/workers", "living worker processes") { _, _ in
                try answer(API.Workers(workers: await shelf.snapshot().workers.map(API.Worker.init)))
            },
            get("/audit", "who did what, the newest first", query: ["job", "from", "before", "limit"]) { _, query in
                var filter = AuditFilter(job: query.text("job"))
                filter.from = try query.instant("from")
                let (rows, next) = try await page(query, limit: 50, number: \.id) { [filter] before, limit in
                    var filter = filter
                    (filter.before, filter.limit) = (before, limit)
                    return try await control.store.audit(filter)
                }
                if rows.isEmpty, let job = filter.job { try await checkKnown(job) }
                return try answer(API.Audit(audit: rows.map(API.AuditEntry.init), nextBefore: next))
            },
            get("/reloads", "past reloads, the newest first", query: ["before", "limit"]) { _, query in
                let (rows, next) = try await page(query, limit: 20, number: \.id) { try await control.store.reloads(before: $0, limit: $1) }
                return try answer(API.Reloads(reloads: rows.map(API.ReloadEntry.init), nextBefore: next))
            },
            get("/counters", "outcomes ever, queues and how fast they are done, by job") { _, _ in try answer(await counters()) },
        ]
    }

    private var readingJobs: [Route] {
        [
            get("/jobs", "all jobs") { _, _ in
                let host = await shelf.snapshot()
                return try answer(API.Jobs(jobs: host.jobs.map { API.Job($0, host: host) }))
            },
            get("/timer", "when each job fires next, and what time it is here", query: ["job", "entry", "label"]) { _, query in
                func words(_ name: String) -> [String] { query.text(name)?.split(separator: ",").map(String.init) ?? [] }
                return try answer(
                    API.Timetable(await shelf.snapshot(), jobs: words("job"), entries: words("entry"), labels: words("label")))
            },
            get("/breakers", "each job's breaker") { _, _ in try answer(API.Breakers(await shelf.snapshot())) },
            get("/jobs/{job}", "one job") { context, _ in
                let host = await shelf.snapshot()
                return try answer(API.Job(try jobSnapshot(try jobName(context), in: host), host: host))
            },
            get("/jobs/{job}/next", "coming fire times", query: ["from", "count"]) { context, query in
                let host = await shelf.snapshot()
                let job = try jobSnapshot(try jobName(context), in: host)
                let count = Int(try query.integer("count", in: 1...1_000) ?? 5)
                let command = HostCommand.next(job: job.name, from: try query.instant("from"), count: count)
                guard case .fires(let fires) = try await control.perform(command, by: .reader) else { throw unexpected }
                return try answer(API.Fires(job: job.name, schedule: job.schedule, timezone: job.timezone, coming: fires, note: nextNote(job, host)))
            },
            get("/jobs/{job}/explain", "why it ran, or not, at an instant", query: ["at"]) { context, query in
                guard let at = try query.instant("at") else {
                    throw API.Problem.invalid("'at' is missing", hint: "?at=2027-01-01T00:00:00Z")
                }
                let command = HostCommand.explain(job: try jobName(context), at: at)
                guard case .explanation(let explanation) = try await control.perform(command, by: .reader) else {
                    throw unexpected
                }
                return try answer(API.Explained(explanation))
            },
        ]
    }

    private var readingRuns: [Route] {
        [
            get(
                "/runs", "runs, the newest first", query: ["job", "state", "outcome", "from", "to", "before", "limit"]
            ) { _, query in
                var filter = try await filter(query)
                filter.states = try query.words("state", RunState.self)
                filter.outcomes = try query.words("outcome", Outcome.self)
                filter.from = try query.instant("from")
                filter.to = try query.instant("to")
                if let from = filter.from, let to = filter.to, from >= to {
                    throw API.Problem.invalid("'from' is not before 'to': \(from.rfc3339) … \(to.rfc3339)", hint: "'to' is not included")
                }
                return try answer(await page(filter, ranges: true))
            },
            get("/dead", "dead letters, the newest first", query: ["job", "before", "limit"]) { _, query in
                var filter = try await filter(query)
                filter.states = [.discarded]
                return try answer(await page(filter, ranges: false))
            },
            get("/runs/{run}", "one run with its attempts") { context, _ in try answer(await detail(try runID(context))) },
            get("/runs/{run}/log", "what it printed and logged", query: ["from", "limit"]) { context, query in
                let run = try await record(try runID(context))
                let from = try query.integer("from", in: 0...Int64.max) ?? 0
                let limit = Int(try query.integer("limit", in: 1...Int64(LogPages.limit)) ?? Int64(LogPages.limit))
                return try answer(LogPages(logs: control.runLogs, host: await shelf.snapshot().name).page(of: run, from: from, limit: limit))
            },
            get("/timeline", "what ran when, summed up by job and step", query: ["from", "to", "step_ms"]) { _, query in
                try answer(try await timeline(query))
            },
            get(
                "/ranges", "skipped and missed fires, the newest first", query: ["job", "from", "to", "before", "limit"]
            ) { _, query in
                let page = try await control.store.ranges(
                    job: query.text("job"), from: query.instant("from"), to: query.instant("to"), before: query.place("before"),
                    limit: Int(query.integer("limit", in: 1...1_000) ?? 50))
                return try answer(API.Ranges(ranges: page.ranges.map(API.Range.init), nextBefore: page.next?.text))
            },
        ]
    }

    /// What `read` (before, limit) has of the query's page, and where the next one begins. One more than asked for says
    /// whether there are more.
    private func page<Row>(
        _ query: APIQuery, limit usual: Int64, number: (Row) -> Int64, _ read: (Int64?, Int) async throws -> [Row]
    ) async throws -> (rows: [Row], next: Int64?) {
        let limit = Int(try query.integer("limit", in: 1...1_000) ?? usual)
        var rows = try await read(try query.integer("before", in: 1...Int64.max), limit + 1)
        guard rows.count > limit else { return (rows, nil) }
        rows.removeLast()
        return (rows, rows.last.map(number))
    }

    private func filter(_ query: APIQuery) async throws -> RunFilter {
        var filter = RunFilter(job: query.text("job"))
        filter.before = try query.integer("before", in: 1...Int64.max).map(RunID.init)
        filter.limit = Int(try query.integer("limit", in: 1...1_000) ?? 50)
        return filter
    }

    /// Default: the last 24 hours in 288 steps of five minutes.
    private func timeline(_ query: APIQuery) async throws -> API.Timeline {
        let now = await shelf.snapshot().now
        let to = try query.instant("to") ?? now
        let from = try query.instant("from") ?? (to - .seconds(86_400))
        guard from < to else {
            throw API.Problem.invalid("'from' is not before 'to': \(from.rfc3339) … \(to.rfc3339)", hint: "'to' is not included")
        }
        let step = try query.integer("step_ms", in: 1...86_400_000) ?? max(1, (to - from).milliseconds / 288)
        guard (to - from).milliseconds / step <= 2_000 else {
            throw API.Problem.invalid("'step_ms' makes more than 2000 steps", hint: "longer steps, or less time")
        }
        let limit = 10_000
        let spans = try await control.store.spans(from: from, to: to, step: .milliseconds(step), limit: limit)
        let mostRanges = 2_000
        let ranges = try await control.store.ranges(job: nil, from: from, to: to, limit: mostRanges)
        let skips = try await control.store.skips(from: from, to: to, step: .milliseconds(step), limit: mostRanges)
        return API.Timeline(
            from: from, to: to, stepMs: step, spans: spans.map(API.Span.init),
            ranges: (ranges + skips).sorted { $0.last > $1.last }.map(API.Range.init),
            truncated: spans.count == limit || max(ranges.count, skips.count) == mostRanges)
    }

    private func counters() async throws -> API.Counters {
        let host = await shelf.snapshot()
        let jobs = Dictionary(host.jobs.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        let ever = try await control.store.counters()
        let depths = try await control.store.queueDepths(now: host.now)
        let names = Set(ever.keys).union(depths.keys).union(jobs.keys).sorted()
        return API.Counters(
            jobs: names.map { name in
                let depth = depths[name]
                return API.JobCounters(
                    job: name, counters: ever[name] ?? [:], waiting: depth?.waiting ?? 0, due: depth?.due ?? 0,
                    running: depth?.running ?? 0, dead: depth?.dead ?? 0, oldestWaiting: depth?.oldestWaiting,
                    endedLastMinute: jobs[name]?.endedLastMinute ?? 0, shrinksPerMinute: jobs[name]?.shrinksPerMinute)
            })
    }
}

extension APIRoutes {
    /// A command answered with something else than its kind of result.
    var unexpected: API.Problem {
        API.Problem(.internalServerError, code: "broken", "the host answered something unexpected")
    }

    func jobName(_ context: APIContext) throws -> String {
        guard let name = context.parameters.get("job").flatMap({ percentDecoded($0) }), !name.isEmpty else {
            throw API.Problem.invalid("the job's name is not valid in the path")
        }
        return name
    }

    func pluginName(_ context: APIContext) throws -> String {
        guard let name = context.parameters.get("plugin").flatMap({ percentDecoded($0) }), !name.isEmpty else {
            throw API.Problem.invalid("the plugin's name is not valid in the path")
        }
        return name
    }

    func runID(_ context: APIContext) throws -> RunID {
        let text = context.parameters.get("run") ?? ""
        guard let id = Int64(text), id > 0 else {
            throw API.Problem.invalid("'\(text.prefix(60))' is not the number of a run", hint: "GET /api/v1/runs lists runs")
        }
        return RunID(id)
    }

    func jobSnapshot(_ name: String, in host: HostSnapshot) throws -> JobSnapshot {
        if let job = host.jobs.first(where: { $0.name == name }) { return job }
        throw CommandError.unknownJob(name, among: host.jobs.map(\.name), last: host.lastReload)
    }

    /// What becomes of the fires of a job that may not start.
    private func nextNote(_ job: JobSnapshot, _ host: HostSnapshot) -> String {
        switch NextStart.of(job, host: host).what {
        case .fire, .nothing, .refused: ""
        case .off: "\(job.name) is switched off (\(job.disabledReason)): it has no fires until jobhost enable \(job.name)"
        case .paused:
            host.control.paused
                ? "the whole host is paused: fires are recorded as skipped until jobhost resume"
                : "\(job.name) is paused: fires are recorded as skipped until jobhost resume \(job.name)"
        case .held: "the breaker is held open: fires are recorded as skipped until jobhost breaker \(job.name) close"
        case .probe:
            job.breaker.until.map {
                "the breaker is open until \(TimeText.absolute($0)): fires before that are recorded as skipped, the first one after it is the probe"
            } ?? "the breaker is half-open: the next run is a probe"
        case .stopping: "the host is stopping: nothing new starts"
        }
    }

    func record(_ id: RunID) async throws -> RunRecord {
        guard let run = try await control.store.run(id) else { throw CommandError.unknownRun(id) }
        return run
    }
}

extension Actor {
    /// For questions, which no audit records.
    static let reader = Actor(name: "reader", via: "http")
}
