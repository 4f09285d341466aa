import Glibc
import JobJSON
import Testing

/// The real binaries: fires that their workers have before their instant.
@Suite("Sent ahead of the instant, end to end", .timeLimit(.minutes(8))) struct AheadTests {
    /// A line for each run: when it began, its settings, its key.
    private static let notes = PluginSource.entry(
        """
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        char line[400];
        int size = snprintf(line, sizeof line, "%lld %s %.*s", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000,
            (const char *)instance, (int)context->idempotency_key.size, context->idempotency_key.data);
        append(FOLDER "/notes", line, (size_t)size);
        FILE *file = fopen(FOLDER "/pid.new", "w");
        fprintf(file, "%d", (int)getpid());
        fclose(file);
        rename(FOLDER "/pid.new", FOLDER "/pid");
        return JOB_SUCCEEDED;
        """,
        flags: "0",
        globals: """
            static int32_t create(const job_entry *entry, const job_host *host, job_str settings, const job_error *error, void **instance) {
                (void)entry; (void)host; (void)error;
                *instance = memmem(settings.data, settings.size, "new", 3) ? "new" : "old";
                return JOB_SUCCEEDED;
            }
            """,
        members: ".create = create,")

    private struct Note {
        var began: Int
        var settings: String
        var key: String
    }
    private func notes(_ test: TestHost) -> [Note] {
        (Proc.text(of: test.folder + "/notes") ?? "").split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            return words.count == 3 ? Int(words[0]).map { Note(began: $0, settings: words[1], key: words[2]) } : nil
        }
    }
    private func config(_ settings: String) -> String {
        Toml.plugin("notes") + Toml.job("a", of: "notes", "every = \"500ms\"\nsettings = { is = \"\(settings)\" }\nretry = { max_attempts = 3 }\nbreaker = false")
            + Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"500ms\"")
    }
    private func begin(_ test: TestHost) async throws -> Child {
        try await test.plugin("notes", Self.notes)
        try await test.plugin("good", PluginSource.succeeds)
        try test.config(config("old"))
        let host = try await test.start()
        try await host.logs("✓ a")
        return host
    }

    @Test("What begins after `pause` has answered had not been sent ahead, whenever that was; a settled due time is settled once")
    func pauses() async throws {
        try await TestHost.with { test in
            let host = try await begin(test)
            var quiet: [(from: Int, to: Int)] = []
            func taken() throws -> Int { try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'a' AND state = 'skipped'") }
            // At any moment of a fire's way, and until one had been claimed that was taken back.
            while try quiet.count < 6 || taken() == 0 {
                while quiet.count % 2 == 1, try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'a' AND state = 'running'") == 0 {
                    try Task.checkCancellation()
                    await Task.yield()
                }
                #expect(try await test.jobhost("pause", "a").code == 0)
                let from = Proc.microseconds()
                // The instant that was to come has passed.
                let at = host.errors.all.count
                let next = try await host.logs("✓ tick", from: at)
                try await host.logs("✓ tick", from: next + 1)
                quiet.append((from, Proc.microseconds()))
                #expect(try await test.jobhost("resume", "a").code == 0)
                try await host.logs("✓ a", from: host.errors.all.count)
            }
            // What had been claimed ahead and was taken back is on the timeline as what was left out later is.
            let shown = try await test.ask("GET", "http://localhost/api/v1/timeline", socket: test.folder + "/var/jobhost.sock").body
            let ranges = shown["ranges"]?.arrayValue ?? []
            let drawn = ranges.filter { $0["job"] == "a" && $0["reason"] == "paused" }.reduce(0) { $0 + (Int($1["count"]?.canonicalText ?? "") ?? 0) }
            let left = try test.ledger.number("SELECT coalesce(sum(count), 0) FROM ledger_ranges WHERE job = 'a' AND reason = 'paused'")
            #expect(try drawn == taken() + left, "\(drawn) drawn, \(left) left out: \(shown)")
            let begun = notes(test)
            for (from, to) in quiet {
                #expect(begun.filter { $0.began > from && $0.began < to }.map(\.key) == [])
            }
            #expect(begun.count >= 6 && Set(begun.map(\.key)).count == begun.count)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["a": 500_000, "tick": 500_000]) == [])
            let odd = try test.ledger.texts("SELECT state || ' ' || reason FROM runs WHERE job = 'a' AND state NOT IN ('succeeded', 'skipped', 'available', 'scheduled')")
            #expect(odd == [])
        }
    }

    @Test("What begins after `reload` has answered begins by the new settings, whenever that was")
    func reloads() async throws {
        try await TestHost.with { test in
            let host = try await begin(test)
            var turns: [(at: Int, settings: String)] = []
            for round in 0..<6 {
                let settings = round % 2 == 0 ? "new" : "old"
                try test.config(config(settings))
                let asked = Proc.microseconds()
                #expect(try await test.jobhost("reload").code == 0)
                turns.append((asked, "either"))
                turns.append((Proc.microseconds(), settings))
                try await host.logs("✓ a", from: host.errors.all.count)
            }
            let begun = notes(test)
            for note in begun {
                let rule = turns.last { $0.at < note.began }?.settings ?? "old"
                #expect(rule == "either" || rule == note.settings, "\(note)")
            }
            #expect(begun.contains { $0.settings == "new" } && Set(begun.map(\.key)).count == begun.count)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["a": 500_000]) == [])
        }
    }

    @Test("A fire that is cancelled before it began never begins")
    func cancels() async throws {
        try await TestHost.with { test in
            let host = try await begin(test)
            for _ in 0..<8 {
                // Claimed between two instants.
                var ahead: [String] = []
                while ahead.isEmpty {
                    try Task.checkCancellation()
                    ahead = try test.ledger.texts("SELECT id FROM runs WHERE job = 'a' AND state = 'running' ORDER BY fire_time DESC LIMIT 1")
                }
                _ = try await test.jobhost("cancel", ahead[0])
                try await host.logs("✓ a", from: host.errors.all.count)
            }
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            let cancelled = try test.ledger.texts("SELECT idempotency_key FROM runs WHERE job = 'a' AND state = 'cancelled' AND started_at IS NULL")
            #expect(!cancelled.isEmpty)
            #expect(Set(notes(test).map(\.key)).isDisjoint(with: cancelled))
            #expect(try test.ledger.faults(every: ["a": 500_000]) == [])
        }
    }

    @Test("A worker that is killed between the sending and the instant: each run is executed once, elsewhere, as its first attempt")
    func workerDies() async throws {
        try await TestHost.with { test in
            try await test.plugin("notes", Self.notes)
            // 100 ms before each instant; not when it is late itself.
            try await test.plugin(
                "killer",
                PluginSource.entry(
                    """
                    struct timespec t;
                    clock_gettime(CLOCK_REALTIME, &t);
                    if (t.tv_nsec < 900000000 || t.tv_nsec > 960000000) return JOB_NOTHING_TO_DO;
                    int pid = 0;
                    FILE *file = fopen(FOLDER "/pid", "r");
                    if (!file) return JOB_NOTHING_TO_DO;
                    int found = fscanf(file, "%d", &pid);
                    fclose(file);
                    if (found == 1 && kill(pid, SIGKILL) == 0) append(FOLDER "/kills", "x", 1);
                    return JOB_SUCCEEDED;
                    """))
            try test.config(
                Toml.plugin("notes") + Toml.job("a", of: "notes", "every = \"1s\"\nretry = { max_attempts = 3 }\nbreaker = false")
                    + Toml.plugin("killer") + Toml.job("killer", of: "killer", "every = { interval = \"1s\", phase = \"900ms\" }"))
            let host = try await test.start()
            var at = 0
            while (Proc.text(of: test.folder + "/kills") ?? "").filter({ $0 == "x" }).count < 4 {
                at = try await host.logs("✓ killer", from: at) + 1
                at = try await host.logs("✓ a", from: at) + 1
            }
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            let keys = notes(test).map(\.key)
            #expect(Set(keys).count == keys.count && keys.count >= 5)
            let done = try test.ledger.texts("SELECT idempotency_key FROM runs WHERE job = 'a' AND state = 'succeeded' AND attempt = 1")
            #expect(Set(done) == Set(keys))
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'a' AND outcome IS NOT NULL AND outcome <> 'succeeded'") == 0)
            #expect(try test.ledger.faults(every: ["a": 1_000_000]) == [])
        }
    }
}
