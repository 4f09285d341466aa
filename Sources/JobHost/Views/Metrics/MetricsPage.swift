import Glibc
import JobCore
import JobStore

/// `GET /metrics`. Names and units as Prometheus' conventions ask; no label is called `job`,
/// which the scraper uses itself.
struct MetricsPage {
    private var text = MetricsText()
    private let host: HostSnapshot
    private let figures: HostMetrics.Figures

    /// `streams`: open ones, events dropped before they were served, and streams dropped as too slow.
    static func bytes(
        _ host: HostSnapshot, _ figures: HostMetrics.Figures, streams: (listeners: Int, dropped: UInt64, slow: UInt64)
    ) -> [UInt8] {
        var page = MetricsPage(host: host, figures: figures)
        page.writeHost(streams)
        page.writeProcess()
        page.writeReloads()
        page.writeStore()
        page.writeWorkers()
        page.writeJobs()
        page.writeLedger()
        page.writeHistograms()
        page.writePlugins()
        return page.text.bytes
    }

    private init(host: HostSnapshot, figures: HostMetrics.Figures) {
        self.host = host
        self.figures = figures
    }

    private mutating func gauge(_ name: String, _ help: String, _ value: Double?) {
        guard let value else { return }
        text.family(name, .gauge, help)
        text.sample([], value)
    }

    /// Of each job that has it.
    private mutating func perJob(_ name: String, _ help: String, _ value: (JobSnapshot) -> Double?) {
        text.family(name, .gauge, help)
        for job in host.jobs { if let value = value(job) { text.sample([("job_name", job.name)], value) } }
    }

    private mutating func writeHost(_ streams: (listeners: Int, dropped: UInt64, slow: UInt64)) {
        text.family("jobhost_build_info", .gauge, "1, with the host's version and name.")
        text.sample([("version", host.version), ("host_name", host.name)], 1)
        gauge("jobhost_start_time_seconds", "When this host started, since the epoch.", host.startedAt.seconds)
        gauge("jobhost_problems", "What is wrong with the host itself; /healthz says it in sentences.", Double(host.problems.count))
        text.family("jobhost_repairs_total", .counter, "What stood still and the host set going again, by kind; each is a defect of something.")
        for (kind, count) in host.repairs { text.sample([("kind", kind)], count) }
        gauge("jobhost_paused", "1: an operator has paused the whole host.", host.control.paused ? 1 : 0)
        gauge("jobhost_event_streams", "Open streams of /api/v1/events.", Double(streams.listeners))
        text.family("jobhost_events_dropped_total", .counter, "Events that came faster than they could be served.")
        text.sample([], streams.dropped)
        text.family("jobhost_event_streams_dropped_total", .counter, "Streams ended because the client was too slow.")
        text.sample([], streams.slow)
    }

    /// The names that every client library uses.
    private mutating func writeProcess() {
        guard let process = ProcessFigures.own() else { return }
        text.family("process_cpu_seconds_total", .counter, "CPU time of the supervisor.")
        text.sample([], process.cpuSeconds)
        gauge("process_resident_memory_bytes", "Resident memory of the supervisor.", process.residentBytes)
        gauge("process_open_fds", "Open descriptors of the supervisor.", process.openFiles)
        gauge("process_max_fds", "Most descriptors that it may open.", process.mostFiles)
    }

    private mutating func writeReloads() {
        gauge("jobhost_config_generation", "Number of the config that serves.", Double(host.generation))
        gauge(
            "jobhost_config_last_reload_successful", "1: the last reload was accepted; 0: the old config goes on.",
            host.lastReload.map { $0.accepted ? 1 : 0 })
        gauge(
            "jobhost_config_last_reload_success_timestamp_seconds", "When a reload, or the start, was last accepted.",
            figures.lastAcceptedReload?.seconds)
        text.family("jobhost_config_reloads_total", .counter, "Reloads, the start among them.")
        for (accepted, result) in [(true, "accepted"), (false, "refused")] {
            text.sample([("result", result)], figures.reloads[accepted] ?? 0)
        }
        text.family("jobhost_plugin_refused", .gauge, "1: the plugin's newest library was refused.")
        for plugin in host.plugins { text.sample([("plugin", plugin.name)], plugin.problem.isEmpty ? 0 : 1) }
    }

    private mutating func writeStore() {
        text.family("jobhost_store_call_duration_seconds", .histogram, "How long the store took, by kind of call.")
        for (operation, histogram) in figures.store.sorted(by: { $0.key < $1.key }) {
            text.histogram([("operation", operation)], histogram)
        }
        gauge("jobhost_store_up", "0: the store does not answer and nothing new starts.", host.isStoreAway ? 0 : 1)
        gauge("jobhost_store_unwritten_results", "Results that wait to be written.", Double(host.unwrittenResults))
    }

    private mutating func writeWorkers() {
        let byPlugin = Dictionary(grouping: host.workers, by: \.plugin)
        let plugins = Set(host.plugins.map(\.name)).union(byPlugin.keys).sorted()
        text.family("jobhost_workers", .gauge, "Living worker processes.")
        for plugin in plugins { text.sample([("plugin", plugin)], byPlugin[plugin]?.count ?? 0) }
        text.family("jobhost_workers_busy", .gauge, "Worker processes that execute a run.")
        for plugin in plugins { text.sample([("plugin", plugin)], byPlugin[plugin]?.count { $0.run != nil } ?? 0) }
        text.family("jobhost_worker_resident_memory_bytes", .gauge, "Resident memory of a plugin's workers together, at the last look.")
        for plugin in plugins { text.sample([("plugin", plugin)], byPlugin[plugin]?.reduce(0) { $0 + Double($1.residentBytes) } ?? 0) }
        text.family("jobhost_worker_starts_total", .counter, "Worker processes started.")
        for plugin in plugins { text.sample([("plugin", plugin)], figures.workerStarts[plugin] ?? 0) }
        text.family("jobhost_worker_exits_total", .counter, "Worker processes ended: asked to, killed by the host, or crashed.")
        for plugin in plugins {
            for how in WorkerEnd.allCases { text.sample([("plugin", plugin), ("reason", how.rawValue)], figures.workerExits[plugin]?[how] ?? 0) }
        }
    }

    private mutating func writeJobs() {
        perJob("jobhost_job_enabled", "1: the job fires.") { $0.enabled ? 1 : 0 }
        perJob("jobhost_job_health", "By the rules of its `health`: 0 healthy, 1 warning, 2 critical.") { Double($0.health.grade.rank) }
        perJob("jobhost_job_paused", "1: an operator has paused it.") { $0.control.paused ? 1 : 0 }
        perJob("jobhost_job_next_fire_timestamp_seconds", "When it fires next.") { $0.nextFire?.seconds }
        perJob("jobhost_job_last_success_timestamp_seconds", "When it last succeeded, as far as is remembered.") { $0.lastSuccess?.seconds }
        perJob("jobhost_job_failing_since_timestamp_seconds", "First failure after the last success; no sample: it does not fail.") { $0.failingSince?.seconds }
        perJob("jobhost_runs_running", "Runs under way.") { Double($0.running.count) }
        perJob("jobhost_queue_depth", "Runs that wait: enqueued, retried, delayed; on all hosts that share the store.") { Double($0.waiting) }
        perJob("jobhost_queue_oldest_age_seconds", "How long the run has been due that waits longest.") { [now = host.now] job in
            job.oldestWaiting.map { max(.zero, now - $0).seconds }
        }
        perJob("jobhost_dead_letters", "Runs that were discarded and are kept, of all hosts that share the store.") { Double($0.dead) }
        text.family("jobhost_breaker_state", .gauge, "1 for the state that the job's breaker is in.")
        for job in host.jobs where job.breaker.state != "off" {
            for state in ["closed", "open", "half_open", "forced_open", "disabled"] {
                text.sample([("job_name", job.name), ("state", state)], job.breaker.state == state ? 1 : 0)
            }
        }
        text.family("jobhost_breaker_transitions_total", .counter, "Moves of a breaker, by the state that it went to.")
        for (job, counts) in figures.jobs.sorted(by: { $0.key < $1.key }) {
            for (state, count) in counts.breakerTransitions.sorted(by: { $0.key < $1.key }) {
                text.sample([("job_name", job), ("state", state)], count)
            }
        }
    }

    /// From the store's own counters, which outlive the host and the rows.
    private mutating func writeLedger() {
        // What alert rules ask for stands at 0 from the first: `increase` is blind to what a series is born with.
        text.family("jobhost_attempts_total", .counter, "Ended attempts, ever, by outcome, on all hosts that share the store.")
        for job in host.jobs {
            for outcome in Outcome.allCases {
                guard let count = job.counters[outcome.rawValue] ?? (Self.isWatched(outcome) ? 0 : nil) else { continue }
                text.sample([("job_name", job.name), ("outcome", outcome.rawValue)], count)
            }
        }
        text.family("jobhost_fires_not_run_total", .counter, "Due times, and enqueued runs, that ended without an attempt, ever, with the reason, on all hosts that share the store.")
        for job in host.jobs {
            for reason in NoRunReason.allCases {
                guard let count = job.counters[reason.rawValue] ?? (reason.state == .missed ? 0 : nil) else { continue }
                text.sample([("job_name", job.name), ("state", reason.state.rawValue), ("reason", reason.rawValue)], count)
            }
        }
    }

    /// An end from which no rule of retry goes on.
    private static func isWatched(_ outcome: Outcome) -> Bool { outcome.isFailure && outcome != .retry }

    private mutating func writeHistograms() {
        let jobs = figures.jobs.sorted { $0.key < $1.key }
        let kinds: [(String, String, (HostMetrics.Job) -> Histogram)] = [
            ("jobhost_run_lateness_seconds", "From a fire time to the start of its run.", { $0.lateness }),
            ("jobhost_run_duration_seconds", "From the start of an attempt to its end.", { $0.duration }),
            ("jobhost_run_queue_time_seconds", "From the instant at which a run that was not scheduled was due to its start.", { $0.queueTime }),
        ]
        for (name, help, histogram) in kinds {
            text.family(name, .histogram, help)
            for (job, figures) in jobs {
                let histogram = histogram(figures)
                if histogram.counts.contains(where: { $0 > 0 }) { text.histogram([("job_name", job)], histogram) }
            }
        }
    }

    // MARK: The plugins' own

    private mutating func writePlugins() {
        var families: [String: (kind: MetricSample.Kind, samples: [(job: String, sample: PluginMetric)])] = [:]
        var misfits: UInt64 = host.droppedPluginMetrics
        for job in host.jobs {
            for metric in job.pluginMetrics {
                let name = Self.familyName(metric)
                if let family = families[name], family.kind != metric.kind {
                    misfits &+= 1
                } else {
                    families[name, default: (metric.kind, [])].samples.append((job.name, metric))
                }
            }
        }
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            let kind: MetricsText.Kind = switch family.kind {
            case .counter: .counter
            case .gauge: .gauge
            case .histogram: .summary
            }
            text.family(name, kind, "Reported by the plugin of the job.")
            for (job, sample) in family.samples {
                let labels = [("job_name", job)] + sample.labels.map { (Self.labelName($0.name), $0.value) }
                guard family.kind == .histogram else {
                    text.sample(labels, sample.value)
                    continue
                }
                text.sample(labels, sample.value, suffix: "_sum")
                text.sample(labels, sample.count, suffix: "_count")
            }
        }
        text.family("jobhost_plugin_samples_dropped_total", .counter, "Samples of plugins that found no place: too many series, or one name for two kinds.")
        text.sample([], misfits)
    }

    /// The plugin's name behind a prefix of ours, so that it can be none of the host's.
    static func familyName(_ metric: PluginMetric) -> String {
        let name = "jobplugin_" + legal(metric.name)
        return metric.kind == .counter && !name.hasSuffix("_total") ? name + "_total" : name
    }

    /// Neither the host's own label nor one that the scraper sets.
    static func labelName(_ name: String) -> String {
        let legal = legal(name)
        return ["job_name", "job", "instance", "le", "quantile"].contains(legal) || legal.hasPrefix("__") ? "plugin_\(legal)" : legal
    }

    private static func legal(_ name: String) -> String {
        var out = ""
        for scalar in name.unicodeScalars {
            switch scalar {
            case "a"..."z", "A"..."Z", "_": out.unicodeScalars.append(scalar)
            case "0"..."9": out += out.isEmpty ? "_\(scalar)" : "\(scalar)"
            default: out += "_"
            }
        }
        return out.isEmpty ? "_" : out
    }
}

extension Instant {
    /// Since the epoch.
    var seconds: Double { Double(microseconds) / 1e6 }
}

/// What /proc says of this process.
struct ProcessFigures {
    var cpuSeconds: Double
    var residentBytes: Double
    var openFiles: Double
    var mostFiles: Double

    static func own() -> ProcessFigures? {
        var usage = rusage()
        guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return nil }
        let time = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return ProcessFigures(
            cpuSeconds: time, residentBytes: Double(ProcFS.resident(getpid()) ?? 0), openFiles: openFiles(),
            mostFiles: limit.rlim_cur > UInt64(Int64.max) ? .infinity : Double(limit.rlim_cur))
    }

    private static func openFiles() -> Double {
        // The folder itself, while it was read.
        Double((Folder.names(in: "/proc/self/fd")?.count ?? 1) - 1)
    }
}
