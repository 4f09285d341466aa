import JobCore
import Testing

/// `doctor`, as a plugin in C has it, over the wire.
@Suite(.timeLimit(.minutes(5)))
struct DoctorTests {
    private let workshop: Workshop
    private let worker: WorkerProcess

    init() throws {
        workshop = try Workshop()
        worker = try WorkerProcess()
    }

    /// Loads a plugin whose doctor has this body, and asks it.
    private func ask(_ body: String, before: String = "", members: String = "", timeout: Duration = .zero) throws {
        let doctor = """
            \(before)
            static int32_t doctor(void *i, const job_context *c, const job_findings *f) {
                (void)i; (void)c; (void)f;
                \(body)
            }
            """
        _ = try worker.load(
            workshop.plugin(run: "return JOB_FAILED;", before: doctor, members: ".doctor = doctor, \(members)"))
        try worker.send(frame(timeout: timeout))
    }

    private func frame(entry: String = "go", timeout: Duration = .zero) -> HostFrame {
        .diagnose(DiagnoseFrame(job: "the-job", entry: entry, settings: Array(#"{"a":1}"#.utf8), timeout: timeout))
    }

    /// What it told, and how it ended.
    private func answer() throws -> (findings: [PluginFinding], end: DiagnosisEnd) {
        var findings: [PluginFinding] = []
        while true {
            switch try worker.receive() {
            case .finding(let finding): findings.append(finding)
            case .diagnosed(let end): return (findings, end)
            case let other: throw WorkerProcess.Failure(description: "neither finding nor end: \(other)")
            }
        }
    }

    @Test func `schema is asked with its request, doctor is not`() throws {
        let schema = """
            static int32_t schema(void *i, const job_context *c, job_str request, const job_findings *f) {
                (void)i; (void)c;
                f->add(f, JOB_FINDING_OK, JOB_STR("table t"), request);
                return JOB_SUCCEEDED;
            }
            """
        _ = try worker.load(workshop.plugin(run: "return JOB_FAILED;", before: schema, members: ".schema = schema,"))
        try worker.send(.diagnose(
            DiagnoseFrame(job: "the-job", entry: "go", settings: Array("{}".utf8), timeout: .zero, schemaRequest: Array(#"{"action":"print"}"#.utf8))))
        let told = try answer()
        #expect(told.findings == [PluginFinding(.ok, "table t", #"{"action":"print"}"#)])
        #expect(told.end == .complete(dropped: 0))
        try worker.send(frame())
        #expect(try answer().end == .absent)
    }

    @Test func `Findings arrive in order, cleaned, an unknown level as an error`() throws {
        try ask(
            """
            f->add(f, JOB_FINDING_OK, JOB_STR("pairs"), JOB_STR("3 active"));
            f->add(f, JOB_FINDING_WARNING, JOB_STR("trades"), JOB_STR("a\\xffz"));
            f->add(f, 9, JOB_STR("0123456789012345678901234567890123456789012345678901234567890123456789"), JOB_NONE);
            return JOB_SUCCEEDED;
            """)
        let (findings, end) = try answer()
        #expect(findings == [
            PluginFinding(.ok, "pairs", "3 active"), PluginFinding(.warning, "trades", "a\u{FFFD}z"),
            PluginFinding(.error, "0123456789012345678901234567890123456789012345678901234567890123", ""),
        ])
        #expect(end == .complete(dropped: 0))
    }

    @Test func `The doctor gets an instance of its own, the job's name and the time, but no run`() throws {
        try ask(
            """
            char text[200];
            int n = snprintf(text, sizeof text, "%s %.*s %.*s %lld %u %lld %d %d %d %d %d", (char *)i,
                (int)c->job.size, c->job.data, (int)c->trigger.size, c->trigger.data, (long long)c->run_id, c->attempt,
                (long long)c->fence, (int)c->payload.size, c->fire_time_us > 1700000000000000,
                c->state_get(c, NULL, NULL), c->state_put(c, 1, JOB_STR("x"), JOB_STATE_ALWAYS),
                c->enqueue(c, JOB_STR("j"), JOB_NONE, JOB_NONE, 0));
            c->log(c, JOB_LOG_INFO, JOB_STR("not kept"), JOB_NONE);
            c->progress(c, 1, 2, JOB_NONE);
            f->add(f, JOB_FINDING_OK, JOB_STR("all"), (job_str){text, (uint64_t)n});
            return JOB_SUCCEEDED;
            """,
            before: """
                static int32_t create(const job_entry *e, const job_host *h, job_str s, const job_error *r, void **i) {
                    (void)e; (void)h; (void)r; *i = strndup(s.data, s.size); return JOB_SUCCEEDED;
                }
                static void destroy(void *i) { free(i); puts("destroyed"); }
                """, members: ".create = create, .destroy = destroy")
        let (findings, _) = try answer()
        #expect(findings == [PluginFinding(.ok, "all", #"{"a":1} the-job doctor 0 1 0 0 1 0 -1 -1"#)])
        #expect(try worker.outputContains("destroyed"))
    }

    @Test func `More findings than are kept are counted`() throws {
        try ask("for (int n = 0; n < JOB_MAX_FINDINGS + 5; n++) { f->add(f, 1, JOB_STR(\"n\"), JOB_NONE); } return JOB_SUCCEEDED;")
        let (findings, end) = try answer()
        #expect(findings.count == 200)
        #expect(end == .complete(dropped: 5))
    }

    @Test(arguments: [
        ("c->fail(c, 3, JOB_STR(\"no database\")); return JOB_RETRY;", "no database"),
        ("return JOB_FAILED;", "doctor returned 3 without a reason"),
    ])
    func `A doctor that gives up says why`(body: String, reason: String) throws {
        try ask(body)
        #expect(try answer().end == .failed(reason))
    }

    @Test func `An instance that cannot be made is the reason`() throws {
        try ask(
            "return JOB_SUCCEEDED;",
            before: """
                static int32_t create(const job_entry *e, const job_host *h, job_str s, const job_error *r, void **i) {
                    (void)e; (void)h; (void)s; (void)i; r->set(r, JOB_STR("wrong key")); return JOB_BAD_SETTINGS;
                }
                """, members: ".create = create")
        #expect(try answer().end == .failed("wrong key"))
    }

    @Test func `It is asked to stop like a run, and knows its time`() throws {
        try ask(
            """
            struct pollfd stop = {.fd = c->cancel_fd(c), .events = POLLIN};
            f->add(f, 1, JOB_STR("time"), c->remaining_ms(c) <= 60000 ? JOB_STR("known") : JOB_STR("unknown"));
            while (!c->is_cancelled(c)) poll(&stop, 1, 1000);
            c->fail(c, 0, JOB_STR("asked to stop"));
            return JOB_CANCELLED;
            """, timeout: .seconds(60))
        guard case .finding(let first) = try worker.receive() else { throw WorkerProcess.Failure(description: "no finding") }
        #expect(first.text == "known")
        try worker.send(.cancel(run: .none))
        #expect(try answer().end == .failed("asked to stop"))
    }

    @Test func `It is asked to stop although the wish comes before its turn`() throws {
        _ = try worker.load(
            workshop.plugin(
                run: "c->progress(c, 1, 1, JOB_NONE); while (!c->is_cancelled(c)) usleep(1000);",
                before: """
                    static int32_t doctor(void *i, const job_context *c, const job_findings *f) {
                        (void)i; (void)f;
                        while (!c->is_cancelled(c)) usleep(1000);
                        return JOB_CANCELLED;
                    }
                    """, members: ".doctor = doctor"))
        try worker.send(.instance(), .run(.go(1)), frame())
        #expect(try worker.receive() == .started(run: RunID(1)))
        // The order of frames is kept: the doctor's comes first.
        try worker.send(.cancel(run: .none), .cancel(run: RunID(1)))
        #expect(try worker.untilResult().result.run == RunID(1))
        #expect(try answer().end == .failed("doctor returned 5 without a reason"))
    }

    @Test func `What was told before a crash has arrived`() throws {
        try ask("f->add(f, 2, JOB_STR(\"first\"), JOB_STR(\"told\")); *(volatile int *)8 = 1; return JOB_SUCCEEDED;")
        #expect(try worker.receive() == .finding(PluginFinding(.warning, "first", "told")))
        #expect(try worker.end() == .signalled(11))
    }

    @Test func `A plugin compiled before there was a doctor loads, runs, and has none`() throws {
        _ = try worker.load(
            workshop.library(
                """
                #include "job_abi.h"
                static int32_t run(void *i, const job_context *c) { (void)i; (void)c; return JOB_SUCCEEDED; }
                /* What is behind struct_size is not the host's to read: here it would be a wild jump. */
                static const job_entry old = {
                    .struct_size = offsetof(job_entry, doctor), .id = JOB_STR_INIT("go"), .run = run,
                    .doctor = (int32_t (*)(void *, const job_context *, const job_findings *))8};
                static const job_entry *at(uint32_t i) { (void)i; return &old; }
                static const job_plugin plugin = {.struct_size = sizeof(job_plugin), .entry_count = 1,
                    .id = JOB_STR_INIT("old"), .version = JOB_STR_INIT("1"), .entry = at};
                JOB_EXPORT const job_plugin *job_plugin_v1(void) { return &plugin; }
                """))
        try worker.send(frame())
        #expect(try answer().end == .absent)
        try worker.send(.instance())
        #expect(try worker.run(.go()).result.code == .succeeded)
    }

    @Test func `An entry that is not there is named with those that are`() throws {
        try ask("return JOB_SUCCEEDED;")
        #expect(try answer().end == .complete(dropped: 0))
        try worker.send(frame(entry: "come"))
        #expect(try answer().end == .failed("plugin 'evil' has no entry 'come' (it has: go)"))
    }
}
