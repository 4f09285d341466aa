import Glibc
import Testing

@Suite("Secrets, end to end", .timeLimit(.minutes(8))) struct SecretTests {
    @Test("A plugin that prints, logs and fails with its secret shows it to nobody")
    func betrayed() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.entry(
                """
                char text[256];
                snprintf(text, sizeof text, "login with %s refused", (const char *)instance);
                job_str said = {.data = text, .size = strlen(text)};
                printf("%s\\n", text);
                fflush(stdout);
                fprintf(stderr, "%s\\n", text);
                context->log(context, JOB_LOG_ERROR, said, JOB_STR("{}"));
                context->fail(context, 7, said);
                return JOB_FAILED;
                """,
                globals: """
                    static int32_t create(const job_entry *entry, const job_host *host, job_str settings, const job_error *error, void **instance) {
                        (void)entry; (void)host; (void)error;
                        *instance = strndup(settings.data, settings.size);
                        return JOB_SUCCEEDED;
                    }
                    """,
                members: ".create = create,"))
            try test.write("correct-horse-battery\n", to: "node.key")
            try test.config(
                """
                [plugins.p]
                library = "libp.so"
                settings = { key = "file:node.key", plain = "shown" }
                [jobs.j]
                plugin = "p"
                entry = "run"
                schedule = "none"
                retry = { max_attempts = 1 }
                """)
            let host = try await test.start()
            try await test.jobhost("trigger", "j")
            try await host.logs("j run 1", "refused")
            let log = try await test.jobhost("logs", "1").output
            #expect(log.split(separator: "\n").count { $0.contains(#"login with {"key":"***","plain":"shown"} refused"#) } >= 3, "\(log)")
            let shown = try await test.jobhost("show", "1").output + (try await test.jobhost("show", "1", "--json").output)
            #expect(shown.contains("***"), "\(shown)")
            host.signal(SIGTERM)
            _ = await host.exitCode()
            // Nowhere: not in the host's log, the ledger, the runs' logs.
            let search = try Child(
                "/bin/grep", ["-rl", "--exclude=node.key", "correct-horse", test.folder], environment: [:], folder: test.folder)
            _ = await search.exitCode()
            #expect(search.output.all.isEmpty, "\(search.output.all)")
            #expect(!(host.errors.all + host.output.all + [log, shown]).joined().contains("correct-horse"))
        }
    }
}
