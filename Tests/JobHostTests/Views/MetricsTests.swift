import Glibc
import JobCore
import JobStore
import Testing

@testable import JobHost

struct MetricsTests {
    private func page(_ host: HostSnapshot = Samples.snapshot(), _ events: [HostEvent] = []) -> String {
        let metrics = HostMetrics()
        for event in events { metrics.observe(event) }
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
        host.jobs[0].oldestWaiting = sampleNow - .seconds(90)
        return host
    }

    private var events: [HostEvent] {
        var run = Samples.record(7, job: "candles", state: .succeeded, outcome: .succeeded)
        run.trigger = .schedule
        run.attempt = 1
        run.startedAt = run.fireTime + .milliseconds(3)
        run.finishedAt = run.fireTime + .milliseconds(203)
        return [
            .ended(run), .breaker(job: "candles", mode: "open", text: "", at: sampleNow), .reload(Samples.report),
            .store(operation: "complete", took: .microseconds(700)), .worker(.started(plugin: "market")), .worker(.started(plugin: "market")), .worker(.ended(plugin: "market", .killed)),
            .worker(.ended(plugin: "market", .crashed)), .worker(.started(plugin: "market")),
        ]
    }

    @Test func everythingPromisedIsThere() {
        let text = page(busy(), events)
        for line in [
            #"jobhost_run_lateness_seconds_bucket{job_name="candles",le="0.0025"} 0"#,
            #"jobhost_run_lateness_seconds_bucket{job_name="candles",le="0.005"} 1"#,
            #"jobhost_run_lateness_seconds_count{job_name="candles"} 1"#,
            #"jobhost_run_duration_seconds_bucket{job_name="candles",le="0.25"} 1"#,
            #"jobhost_run_duration_seconds_sum{job_name="candles"} 0.2"#,
            #"jobhost_breaker_transitions_total{job_name="candles",state="open"} 1"#,
            #"jobhost_store_call_duration_seconds_bucket{operation="complete",le="0.001"} 1"#,
            #"jobhost_worker_starts_total{plugin="market"} 3"#, #"jobhost_worker_exits_total{plugin="market",reason="killed"} 1"#,
            #"jobhost_worker_exits_total{plugin="market",reason="crashed"} 1"#, #"jobhost_worker_exits_total{plugin="market",reason="ended"} 0"#,
            "jobhost_event_streams 2", "jobhost_events_dropped_total 3", "jobhost_event_streams_dropped_total 4",
            #"jobhost_queue_oldest_age_seconds{job_name="\#(Samples.snapshot().jobs[0].name)"} 90"#,
            "jobhost_store_up 1",
        ] { #expect(text.contains(line + "\n"), "\(line)") }
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
