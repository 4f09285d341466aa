import Glibc
import Testing

/// What `/metrics` and the grades say of what a real host does.
@Suite("Metrics and grades, end to end", .timeLimit(.minutes(8))) struct MetricsStoryTests {
    /// Reports numbers of its own, and as many series as a payload wants.
    private static let reports = PluginSource.entry(
        """
        const job_metrics *m = context->host->get_extension(context->host, JOB_STR(JOB_EXT_METRICS));
        if (!m) return JOB_FAILED;
        job_str pair[] = {JOB_STR("pair"), JOB_STR("XRP/ETH")};
        m->counter(context, JOB_STR("trades"), pair, 1, 7);
        m->histogram(context, JOB_STR("gap_seconds"), NULL, 0, 0.5);
        for (int i = 0; asked(context, "many") && i < 300; i++) {
            char name[16];
            job_str user[] = {JOB_STR("user"), {name, (uint64_t)snprintf(name, sizeof name, "%d", i)}};
            m->counter(context, JOB_STR("logins"), user, 1, 1);
        }
        return JOB_SUCCEEDED;
        """)
    private static let config = Toml.plugin("good") + Toml.job("good", of: "good") + Toml.job("tick", of: "good", "every = \"100ms\"") + Toml.plugin("bad")
        + Toml.job(
            "bad", of: "bad",
            "schedule = \"none\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 2, open_for = \"1h\" }\ntimeout = \"300ms\"\nkill_grace = \"100ms\"")

    @Test("A success, a queue, a crash, a kill at the limit, a breaker, reloads and a plugin's own numbers stand on /metrics as they happened")
    func story() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", Self.reports)
            try await test.plugin("bad", PluginSource.entry("if (asked(context, \"crash\")) abort(); for (;;) pause();"))
            try test.config(Self.config)
            let host = try await test.start()
            for payload in ["1", "2", "\"many\""] { #expect(try await test.jobhost("trigger", "good", "--payload", payload, "--wait").code == 0) }
            try await expectFires(test)
            try await expectRuns(test)
            try await expectQueue(test)
            try await expectBreaker(test)
            try await expectReloads(test)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
        }
    }

    /// Each fire's lateness is observed once.
    private func expectFires(_ test: TestHost) async throws {
        let lateness = #"jobhost_run_lateness_seconds_count{job_name="tick"}"#
        try await test.metrics { $0[lateness] ?? 0 > 5 }
        #expect(try await test.jobhost("pause", "tick", "--reason", "counted").code == 0)
        while try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'tick' AND state = 'running'") > 0 { try Task.checkCancellation() }
        let fires = Double(try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'tick' AND outcome IS NOT NULL"))
        let found = try await test.metrics(until: [lateness: fires])
        #expect(found[#"jobhost_run_lateness_seconds_bucket{job_name="tick",le="+Inf"}"#] == fires)
        #expect(found[#"jobhost_run_duration_seconds_count{job_name="tick"}"#] == fires)
        #expect(found[#"jobhost_run_queue_time_seconds_count{job_name="tick"}"#] == nil)
        for operation in ["claim_fires", "complete"] {
            #expect(found[#"jobhost_store_call_duration_seconds_count{operation="\#(operation)"}"#] ?? 0 > 0, "\(operation)")
        }
        #expect(found["jobhost_store_up"] == 1)
    }

    private func expectRuns(_ test: TestHost) async throws {
        // A worker's memory is looked at each second, the store's counters every two.
        let found = try await test.metrics {
            $0[#"jobhost_attempts_total{job_name="good",outcome="succeeded"}"#] == 3
                && $0[#"jobhost_worker_resident_memory_bytes{plugin="good"}"#] ?? 0 > 1_000_000
        }
        #expect(found[#"jobhost_run_duration_seconds_count{job_name="good"}"#] == 3)
        #expect(found[#"jobhost_run_queue_time_seconds_count{job_name="good"}"#] == 3)
        #expect(found[#"jobhost_run_lateness_seconds_count{job_name="good"}"#] == nil)
        #expect(found[#"jobhost_workers{plugin="good"}"#] ?? 0 > 0)
        #expect(found[#"jobhost_worker_starts_total{plugin="good"}"#] ?? 0 > 0)
        #expect(found[#"jobplugin_trades_total{job_name="good",pair="XRP/ETH"}"#] == 21)
        #expect(found[#"jobplugin_gap_seconds_sum{job_name="good"}"#] == 1.5)
        #expect(found[#"jobplugin_gap_seconds_count{job_name="good"}"#] == 3)
        // 200 series are kept of a job: two had their place.
        #expect(found.keys.count { $0.hasPrefix("jobplugin_logins_total{job_name=\"good\",") } == 198)
        #expect(found["jobhost_plugin_samples_dropped_total"] == 102)
    }

    private func expectQueue(_ test: TestHost) async throws {
        let (depth, age) = (#"jobhost_queue_depth{job_name="good"}"#, #"jobhost_queue_oldest_age_seconds{job_name="good"}"#)
        let empty = try await test.metrics(until: [depth: 0])
        #expect(empty[age] == nil)
        // A worker that has stood still is a defect: there is none, and that is said.
        #expect(empty[#"jobhost_repairs_total{kind="worker"}"#] == 0)
        #expect(try await test.jobhost("pause", "good", "--reason", "counted").code == 0)
        for _ in 0..<2 { #expect(try await test.jobhost("enqueue", "good").code == 0) }
        try await test.metrics { $0[depth] == 2 && $0[age] ?? 0 > 0 }
        #expect(try await test.jobhost("resume", "good").code == 0)
        let done = try await test.metrics(until: [depth: 0])
        #expect(done[age] == nil)
    }

    private func expectBreaker(_ test: TestHost) async throws {
        func exits(_ reason: String) -> String { #"jobhost_worker_exits_total{plugin="bad",reason="\#(reason)"}"# }
        func moves(_ state: String) -> String { #"jobhost_breaker_transitions_total{job_name="bad",state="\#(state)"}"# }
        func isIn(_ state: String) -> String { #"jobhost_breaker_state{job_name="bad",state="\#(state)"}"# }
        let before = try await test.metrics(until: [exits("crashed"): 0, exits("killed"): 0, isIn("closed"): 1])
        #expect(before[moves("open")] == nil)
        for (payload, code) in [("\"crash\"", Int32(14)), ("\"hang\"", 13)] {
            #expect(try await test.jobhost("trigger", "bad", "--payload", payload, "--wait").code == code)
        }
        let found = try await test.metrics(until: [
            exits("crashed"): 1, exits("killed"): 1, moves("open"): 1, #"jobhost_attempts_total{job_name="bad",outcome="timed_out"}"#: 1,
        ])
        #expect(found[#"jobhost_attempts_total{job_name="bad",outcome="crashed"}"#] == 1)
        #expect(found[#"jobhost_worker_starts_total{plugin="bad"}"#] ?? 0 >= 2)
        #expect(found[#"jobhost_run_duration_seconds_bucket{job_name="bad",le="0.25"}"#] ?? 2 < 2)
        #expect(found[isIn("open")] == 1)
        #expect(found[isIn("closed")] == 0)
        #expect(try await test.jobhost("breaker", "bad", "close", "--reason", "counted").code == 0)
        try await test.metrics(until: [moves("closed"): 1, moves("open"): 1, isIn("closed"): 1, isIn("open"): 0])
    }

    private func expectReloads(_ test: TestHost) async throws {
        func reloads(_ result: String) -> String { #"jobhost_config_reloads_total{result="\#(result)"}"# }
        let before = try await test.metrics(until: [reloads("accepted"): 1, reloads("refused"): 0])
        try test.config(Self.config + Toml.job("more", of: "good"))
        #expect(try await test.jobhost("reload").code == 0)
        let (generation, time) = ("jobhost_config_generation", "jobhost_config_last_reload_success_timestamp_seconds")
        let number = try #require(before[generation])
        let accepted = try await test.metrics(until: [
            reloads("accepted"): 2, "jobhost_config_last_reload_successful": 1, generation: number + 1,
        ])
        let (then, now) = (try #require(before[time]), try #require(accepted[time]))
        #expect(now > then)
        try test.config("[jobs.bad")
        #expect(try await test.jobhost("reload").code != 0)
        try await test.metrics(until: [
            reloads("refused"): 1, reloads("accepted"): 2, "jobhost_config_last_reload_successful": 0, generation: number + 1, time: now,
        ])
    }

    @Test("A gauge of the plugin grades its job by the bounds of `health`: a warning, critical, and healthy again")
    func gauge() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.entry(
                """
                const job_metrics *m = context->host->get_extension(context->host, JOB_STR(JOB_EXT_METRICS));
                double level = asked(context, "high") ? 11 : asked(context, "middle") ? 7 : 3;
                return m && m->gauge(context, JOB_STR("level"), NULL, 0, level) == JOB_OK ? JOB_SUCCEEDED : JOB_FAILED;
                """))
            try test.config(
                Toml.plugin("p")
                    + Toml.job("j", of: "p", "schedule = \"none\"\nhealth = { warning = { metrics = { level = 5 } }, critical = { metrics = { level = 10 } } }"))
            _ = try await test.start()
            func graded(_ payload: String, _ status: Int, _ grade: String, _ rank: Double, _ sentence: String?) async throws {
                #expect(try await test.jobhost("trigger", "j", "--payload", "\"\(payload)\"", "--wait").code == 0)
                try await test.metrics(until: [#"jobhost_job_health{job_name="j"}"#: rank])
                let health = try await test.health()
                #expect(health.status == status && health.body.contains("\"grade\":\"\(grade)\""), "\(health)")
                #expect(health.body.contains("metrics.level") == (sentence != nil), "\(health)")
                if let sentence { #expect(health.body.contains(sentence), "\(health)") }
            }
            try await graded("low", 200, "healthy", 0, nil)
            try await graded("middle", 200, "warning", 1, "level is 7, above 5")
            try await graded("high", 503, "critical", 2, "level is 11, above 10")
            try await graded("low", 200, "healthy", 0, nil)
        }
    }
}
