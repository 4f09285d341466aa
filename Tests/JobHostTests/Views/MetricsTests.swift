import Glibc
import JobCore
import JobJSON
import JobStore
import Testing

@testable import JobHost

struct MetricsTests {
    private func page(_ host: HostSnapshot = Samples.snapshot(), _ events: [HostEvent] = []) -> String {
        let metrics = HostMetrics()
        metrics.observe(events)
        return String(decoding: MetricsPage.bytes(host, metrics.figures, streams: (2, 3, 4)), as: UTF8.self)
    }

    private func busy() -> HostSnapshot {
        var host = Samples.snapshot()
        host.jobs[0].pluginMetrics = [
            PluginMetric(name: "trades", kind: .counter, labels: [.init(name: "pair", value: "A\"B\\C\nD")], value: 7, count: 7),
            PluginMetric(name: "gap.seconds", kind: .histogram, labels: [.init(name: "job", value: "x")], value: 1.5, count: 2),
            PluginMetric(name: "9lives", kind: .gauge, labels: [], value: -.infinity, count: 1),
        ]
        host.jobs[1].pluginMetrics = [PluginMetric(name: "gap.seconds", kind: .gauge, labels: [], value: 1, count: 1)]
        host.lastReload = Samples.report
        host.repairs = [("fire", 0), ("cursor", 2)]
        host.jobs[0].oldestWaiting = sampleNow - .seconds(90)
        host.jobs[0].counters = ["succeeded": 41, "failed": 1, "window": 12, "overlap": 3]
        host.jobs[1].breaker.state = "off"
        host.workers.append(WorkerSnapshot(
            pid: 901, startTime: 1, pool: "margin", plugin: "margin", libraryHash: "9f", state: "idle", run: nil, runs: 0,
            startedAt: sampleNow, residentBytes: 2_000_000))
        return host
    }

    private var events: [HostEvent] {
        var run = Samples.record(7, job: "candles", state: .succeeded, outcome: .succeeded)
        run.trigger = .schedule
        run.attempt = 1
        run.startedAt = run.fireTime + .milliseconds(3)
        run.finishedAt = run.fireTime + .milliseconds(203)
        var enqueued = run
        enqueued.id = RunID(8)
        enqueued.trigger = .enqueued
        enqueued.startedAt = run.fireTime + .milliseconds(700)
        enqueued.finishedAt = run.fireTime + .milliseconds(703)
        return [
            .ended(run), .ended(enqueued), .breaker(job: "candles", mode: "open", text: "", at: sampleNow), .reload(Samples.report),
            .store(operation: "complete", took: .microseconds(700)), .worker(.started(plugin: "market")), .worker(.started(plugin: "market")), .worker(.ended(plugin: "market", .killed)),
            .worker(.ended(plugin: "market", .crashed)), .worker(.started(plugin: "market")),
        ]
    }

    @Test func everythingPromisedIsThere() {
        let text = page(busy(), events)
        // Scheduled runs are late; all others have waited.
        for line in [
            #"jobhost_run_lateness_seconds_bucket{job_name="candles",le="0.0025"} 0"#,
            #"jobhost_run_lateness_seconds_bucket{job_name="candles",le="0.005"} 1"#,
            #"jobhost_run_lateness_seconds_count{job_name="candles"} 1"#,
            #"jobhost_run_duration_seconds_bucket{job_name="candles",le="0.25"} 2"#,
            #"jobhost_run_duration_seconds_sum{job_name="candles"} 0.203"#,
            #"jobhost_run_queue_time_seconds_bucket{job_name="candles",le="0.25"} 0"#,
            #"jobhost_run_queue_time_seconds_bucket{job_name="candles",le="1"} 1"#,
            #"jobhost_run_queue_time_seconds_sum{job_name="candles"} 0.7"#,
            #"jobhost_run_queue_time_seconds_count{job_name="candles"} 1"#,
            #"jobhost_breaker_state{job_name="candles",state="closed"} 1"#, #"jobhost_breaker_state{job_name="candles",state="open"} 0"#,
            #"jobhost_breaker_state{job_name="deposits-credit",state="open"} 1"#, #"jobhost_breaker_state{job_name="deposits-credit",state="closed"} 0"#,
            #"jobhost_worker_resident_memory_bytes{plugin="margin"} 10000000"#, #"jobhost_worker_resident_memory_bytes{plugin="market"} 0"#,
            #"jobhost_workers{plugin="margin"} 2"#, #"jobhost_workers_busy{plugin="margin"} 1"#,
            #"jobhost_repairs_total{kind="fire"} 0"#, #"jobhost_repairs_total{kind="cursor"} 2"#, "jobhost_config_generation 4", "jobhost_config_last_reload_successful 1",
            "jobhost_config_last_reload_success_timestamp_seconds 1777888800",
            #"jobhost_config_reloads_total{result="accepted"} 1"#, #"jobhost_config_reloads_total{result="refused"} 0"#,
            #"jobhost_attempts_total{job_name="candles",outcome="succeeded"} 41"#, #"jobhost_attempts_total{job_name="candles",outcome="failed"} 1"#,
            #"jobhost_fires_not_run_total{job_name="candles",state="missed",reason="window"} 12"#,
            #"jobhost_fires_not_run_total{job_name="candles",state="skipped",reason="overlap"} 3"#,
            #"jobhost_breaker_transitions_total{job_name="candles",state="open"} 1"#,
            #"jobhost_store_call_duration_seconds_bucket{operation="complete",le="0.001"} 1"#,
            #"jobhost_worker_starts_total{plugin="market"} 3"#, #"jobhost_worker_exits_total{plugin="market",reason="killed"} 1"#,
            #"jobhost_worker_exits_total{plugin="market",reason="crashed"} 1"#, #"jobhost_worker_exits_total{plugin="market",reason="ended"} 0"#,
            "jobhost_event_streams 2", "jobhost_events_dropped_total 3", "jobhost_event_streams_dropped_total 4",
            #"jobhost_queue_oldest_age_seconds{job_name="\#(Samples.snapshot().jobs[0].name)"} 90"#,
            "jobhost_store_up 1",
        ] { #expect(text.contains(line + "\n"), "\(line)") }
    }

    /// A job that never ran: rules see its first failure too.
    @Test func whatRulesAskForBeginsAtZero() {
        let lines = page().split(separator: "\n").filter { $0.contains(#"job_name="margin-check""#) }
        let counted = lines.filter { $0.hasPrefix("jobhost_attempts_total") || $0.hasPrefix("jobhost_fires_not_run_total") }
        #expect(counted.sorted() == [
            #"jobhost_attempts_total{job_name="margin-check",outcome="crashed"} 0"#, #"jobhost_attempts_total{job_name="margin-check",outcome="failed"} 0"#,
            #"jobhost_attempts_total{job_name="margin-check",outcome="lost"} 0"#, #"jobhost_attempts_total{job_name="margin-check",outcome="timed_out"} 0"#,
            #"jobhost_fires_not_run_total{job_name="margin-check",state="missed",reason="clock"} 0"#,
            #"jobhost_fires_not_run_total{job_name="margin-check",state="missed",reason="policy"} 0"#,
            #"jobhost_fires_not_run_total{job_name="margin-check",state="missed",reason="window"} 0"#,
        ])
    }

    /// How long it took, nobody knows: it is written when that was found, which may be days later.
    @Test func aLostAttemptHasNoDuration() {
        let run = Samples.record(9, job: "mint", state: .discarded, outcome: .lost, took: .seconds(90_000))
        let text = page(busy(), [.ended(run)])
        #expect(text.contains(#"jobhost_run_lateness_seconds_count{job_name="mint"} 1"#) && !text.contains(#"jobhost_run_duration_seconds_count{job_name="mint"}"#))
    }

    @Test func whatPluginsInventIsMadeLegal() {
        let name = Samples.snapshot().jobs[0].name
        let text = page(busy())
        for line in [
            #"jobplugin_trades_total{job_name="\#(name)",pair="A\"B\\C\nD"} 7"#, "# TYPE jobplugin_gap_seconds summary",
            #"jobplugin_gap_seconds_sum{job_name="\#(name)",plugin_job="x"} 1.5"#, #"jobplugin__9lives{job_name="\#(name)"} -Inf"#,
            // One name, two kinds: the second job's is left out, and counted.
            "jobhost_plugin_samples_dropped_total 1",
        ] { #expect(text.contains(line + "\n"), "\(line)") }
    }

    @Test func noLabelIsCalledJob() {
        let text = page(busy(), events)
        #expect(!text.contains("{job=\"") && !text.contains(",job=\""))
    }

    @Test func seriesOfAPluginAreBounded() {
        var metrics = PluginMetrics()
        for n in 0..<1_000 { metrics.observe(MetricSample(kind: .counter, name: "n", labels: ["user": "\(n)"], value: 1), job: "a") }
        metrics.observe(MetricSample(kind: .gauge, name: "n", labels: ["user": "0"], value: 1), job: "a")
        #expect(metrics.of(job: "a").count == PluginMetrics.seriesPerJob)
        #expect(metrics.dropped == 801)
        metrics.keep(jobs: ["b"])
        #expect(metrics.of(job: "a").isEmpty)
    }

    /// What Prometheus' own tool says of the page: nothing.
    @Test(.enabled(if: access("/usr/bin/promtool", X_OK) == 0, "scripts/setup --test installs promtool"))
    func promtoolFindsNothing() throws {
        let folder = try TestFolder()
        let file = folder.path + "/metrics"
        try Files.write(page(busy(), events), to: file)
        let out = folder.path + "/out"
        let code = Shell.run("promtool check metrics < '\(file)' > '\(out)' 2>&1")
        let said = try Files.read(out)
        #expect(code == 0 && said == "", "\(said)")
    }

    /// The files that are shipped.
    @Test(.enabled(if: access("/usr/bin/promtool", X_OK) == 0, "scripts/setup --test installs promtool"))
    func theAlertRulesHoldTheirOwnTests() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
        let folder = try TestFolder()
        let out = folder.path + "/out"
        let code = Shell.run("cd '\(root)/deploy/prometheus' && (promtool check rules alerts.yml && promtool test rules alerts_test.yml) > '\(out)' 2>&1")
        let said = try Files.read(out)
        #expect(code == 0, "\(said)")
    }

    /// Each is seen to fire in a test of its own.
    @Test func everyRuleHasATest() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
        let rules = try Files.read("\(root)/deploy/prometheus/alerts.yml").matches(of: #/- alert: (\w+)/#).map(\.1)
        let fires = Set(try Files.read("\(root)/deploy/prometheus/alerts_test.yml").matches(of: #/alertname: (\w+)\s+exp_alerts:\s+- exp_labels/#).map(\.1))
        #expect(rules.count >= 12 && rules.filter { !fires.contains($0) } == [])
    }

    /// Each of the dashboard's questions is PromQL, and two hosts that share a store are not added up.
    @Test(.enabled(if: access("/usr/bin/promtool", X_OK) == 0, "scripts/setup --test installs promtool"))
    func theDashboardCountsAStoreOnce() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
        let board = try JSON(parsing: Array(Files.read("\(root)/deploy/grafana/jobhost.json").utf8))
        let questions = (board["panels"]?.arrayValue ?? []).flatMap { $0["targets"]?.arrayValue ?? [] }.compactMap { $0["expr"]?.stringValue }
            .map { $0.replacing("$__rate_interval", with: "5m").replacing("$job_name", with: ".*").replacing("$instance", with: ".*") }
        #expect(questions.count > 10)
        func yaml(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
        let rules = questions.enumerated().map { "      - {record: 'asked:\($0)', expr: \(yaml($1))}\n" }.joined()
        func tests(_ asked: String, _ found: String) throws -> String {
            let question = try #require(questions.first { $0.contains(asked) })
            return "      - {expr: \(yaml(question)), eval_time: 10m, exp_samples: [\(found)]}\n"
        }
        let folder = try TestFolder()
        try Files.write("groups:\n  - name: board\n    rules:\n" + rules, to: folder.path + "/board.yml")
        try Files.write(
            """
            rule_files: [board.yml]
            tests:
              - interval: 1m
                input_series:
                  - {series: 'jobhost_dead_letters{job_name="mint", instance="a"}', values: "3x20"}
                  - {series: 'jobhost_dead_letters{job_name="mint", instance="b"}', values: "3x20"}
                  - {series: 'jobhost_dead_letters{job_name="pay", instance="b"}', values: "1x20"}
                  - {series: 'jobhost_attempts_total{job_name="mint", outcome="failed", instance="a"}', values: "0+60x20"}
                  - {series: 'jobhost_attempts_total{job_name="mint", outcome="failed", instance="b"}', values: "0+60x20"}
                  - {series: 'jobhost_job_health{job_name="mint", instance="a"}', values: "2x20"}
                  - {series: 'jobhost_job_health{job_name="mint", instance="b"}', values: "2x20"}
                promql_expr_test:

            """ + tests("jobhost_dead_letters", "{labels: '{}', value: 4}") + tests("jobhost_attempts_total", #"{labels: '{outcome="failed"}', value: 1}"#)
                + tests("== 2) or vector", "{labels: '{}', value: 1}"),
            to: folder.path + "/board_test.yml")
        let out = folder.path + "/out"
        let code = Shell.run("cd '\(folder.path)' && (promtool check rules board.yml && promtool test rules board_test.yml) > '\(out)' 2>&1")
        let said = try Files.read(out)
        #expect(code == 0, "\(said)")
    }

    /// Every metric that the shipped dashboard and rules ask for exists.
    @Test func dashboardAndRulesAskForWhatThereIs() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
        let families = Set(page(busy(), events).split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] })
        for file in ["prometheus/alerts.yml", "grafana/jobhost.json"] {
            let text = try Files.read("\(root)/deploy/\(file)")
            for match in text.matches(of: /jobhost_[a-z_]+[a-z]/) {
                var name = match.output
                if name.hasSuffix("_bucket") { name = name.dropLast(7) }
                #expect(families.contains(name), "\(file): \(name)")
            }
        }
    }
}

enum Shell {
    /// The exit code.
    static func run(_ command: String) -> Int32 {
        let status = system(command)
        return (status >> 8) & 0xFF
    }
}
