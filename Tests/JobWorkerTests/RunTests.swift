import JobCore
import Testing

@Suite(.timeLimit(.minutes(5)))
struct RunTests {
    private let workshop: Workshop
    private let worker: WorkerProcess

    init() throws {
        workshop = try Workshop()
        worker = try WorkerProcess()
    }

    /// A worker with one instance of a plugin with this `run`.
    private func start(_ body: String, before: String = "", members: String = "", settings: String = "{}") throws {
        _ = try worker.load(workshop.plugin(run: body, before: before, members: members))
        try worker.send(.instance(settings: settings))
    }

    @Test func `A run sees everything it was given`() throws {
        try start(
            """
            char text[500];
            #define S(s) (int)s.size, s.data
            uint32_t version; job_str state;
            int has = c->state_get(c, &version, &state);
            int n = snprintf(text, sizeof text, "%lld %u %.*s %lld %lld %.*s %.*s %.*s %.*s %d/%u/%.*s %d %d",
                (long long)c->run_id, c->attempt, S(c->trigger), (long long)c->fire_time_us, (long long)c->fence,
                S(c->idempotency_key), S(c->job), S(c->payload), S(c->host->name), has, version, S(state),
                c->remaining_ms(c) == JOB_NO_LIMIT, c->deadline_us == 0);
            c->summary(c, (job_str){text, (uint64_t)n});
            return JOB_SUCCEEDED;
            """)
        let frame = RunFrame.go(42, attempt: 2, payload: #"{"a":1}"#, state: StateBlob(version: 3, bytes: Array("abc".utf8)))
        #expect(
            try worker.run(frame).result.text
                == #"42 2 schedule 1700000000000000 7 job@1700000000 the-job {"a":1} under-test 1/3/abc 1 1"#)
    }

    @Test func `Without state, state_get says so`() throws {
        try start("uint32_t v = 9; job_str b = JOB_STR(\"x\"); return c->state_get(c, &v, &b) == 0 && v == 0 && b.size == 0 ? JOB_SUCCEEDED : JOB_FAILED;")
        #expect(try worker.run(.go()).result.code == .succeeded)
    }

    @Test(arguments: [
        (0, ResultCode.succeeded), (1, .nothingToDo), (2, .retry), (3, .failed), (5, .cancelled), (6, .badSettings),
    ])
    func `Result codes arrive as they are`(code: Int, expected: ResultCode) throws {
        try start("return \(code);")
        #expect(try worker.run(.go()).result.code == expected)
    }

    @Test(arguments: [7, -1, 256, 4])
    func `An unknown code, and a snooze without an instant, are failures`(code: Int) throws {
        try start("return \(code);")
        let result = try worker.run(.go()).result
        #expect(result.code == .failed)
        #expect(result.text.contains(code == 4 ? "snooze_until()" : "run returned \(code)"))
    }

    @Test func `Snooze and retry carry their instants`() throws {
        try start("c->snooze_until(c, 1700000000000001); c->retry_not_before(c, 1700000000000002); c->fail(c, -5, JOB_STR(\"busy\")); return c->attempt == 1 ? JOB_SNOOZE : JOB_RETRY;")
        let snoozed = try worker.run(.go(1)).result
        #expect(snoozed.code == .snooze)
        #expect(snoozed.snoozeUntil == Instant(microseconds: 1_700_000_000_000_001))
        let retry = try worker.run(.go(2, attempt: 2)).result
        #expect(retry.retryNotBefore == Instant(microseconds: 1_700_000_000_000_002))
        #expect(retry.failCode == -5)
        #expect(retry.text == "busy")
    }

    @Test func `Nothing a run said is left for the next one`() throws {
        try start("if (c->attempt == 1) { c->fail(c, 9, JOB_STR(\"x\")); c->items(c, 4); c->state_put(c, 1, JOB_STR(\"s\"), JOB_STATE_ALWAYS); c->snooze_until(c, 5); } return JOB_SUCCEEDED;")
        #expect(try worker.run(.go(1)).result.items == 4)
        var clean = try worker.run(.go(2, attempt: 2)).result
        #expect(clean.startedAt > .epoch && clean.took >= .zero)
        (clean.cpu, clean.startedAt, clean.took) = (.zero, .epoch, .zero)
        #expect(clean == RunResult(run: RunID(2), code: .succeeded))
    }

    @Test func `What a thread says of its run that is over is not the next one's`() throws {
        try start(
            """
            if (c->run_id == 1) {
                pthread_t thread;
                if (pthread_create(&thread, NULL, ghost, (void *)c) != 0) return JOB_FAILED;
                pthread_detach(thread);
                return JOB_SUCCEEDED;
            }
            __atomic_store_n(&step, 1, __ATOMIC_SEQ_CST);
            while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) != 2) poll(NULL, 0, 1);
            c->items(c, 1);
            return answers == 3 ? JOB_SUCCEEDED : JOB_FAILED;
            """,
            before: """
                static int step, answers;
                static void *ghost(void *of) {
                    const job_context *c = of;
                    while (__atomic_load_n(&step, __ATOMIC_SEQ_CST) != 1) poll(NULL, 0, 1);
                    c->summary(c, JOB_STR("of a ghost"));
                    c->fail(c, 7, JOB_STR("of a ghost"));
                    c->items(c, 100);
                    c->snooze_until(c, 5);
                    c->retry_not_before(c, 5);
                    c->log(c, JOB_LOG_INFO, JOB_STR("of a ghost"), JOB_NONE);
                    c->progress(c, 1, 2, JOB_STR("of a ghost"));
                    answers = (c->state_put(c, 1, JOB_STR("s"), JOB_STATE_ALWAYS) == JOB_E_INVALID)
                        + (c->enqueue(c, JOB_STR("job"), JOB_NONE, JOB_NONE, 0) == JOB_E_INVALID) + (c->is_cancelled(c) == 1);
                    __atomic_store_n(&step, 2, __ATOMIC_SEQ_CST);
                    return NULL;
                }
                """)
        #expect(try worker.run(.go(1)).result.code == .succeeded)
        let (before, end) = try worker.run(.go(2))
        #expect(before == [.started(run: RunID(2))])
        var result = end
        (result.cpu, result.startedAt, result.took) = (.zero, .epoch, .zero)
        #expect(result == RunResult(run: RunID(2), code: .succeeded, items: 1))
    }

    @Test func `A run with other settings has begun before what was made of the old ones is destroyed`() throws {
        try start(
            "return JOB_SUCCEEDED;", before: "static void destroy(void *i) { (void)i; for (;;) pause(); }", members: ".destroy = destroy")
        #expect(try worker.run(.go(1)).result.code == .succeeded)
        try worker.send(.instance(settings: "{\"a\":1}"), .run(.go(2)))
        #expect(try worker.receive() == .started(run: RunID(2)))
    }

    @Test func `State is kept for each moment, the last call wins, limits are told to the plugin`() throws {
        try start(
            """
            static char big[JOB_MAX_STATE + 1];
            if (c->state_put(c, 1, (job_str){big, sizeof big}, JOB_STATE_ALWAYS) != JOB_E_TOO_LARGE) return JOB_FAILED;
            if (c->state_put(c, 0, JOB_STR("a"), JOB_STATE_ALWAYS) != JOB_E_INVALID) return JOB_FAILED;
            if (c->state_put(c, 1, JOB_STR("a"), 7) != JOB_E_INVALID) return JOB_FAILED;
            if (c->state_put(c, 1, (job_str){NULL, 3}, JOB_STATE_ALWAYS) != JOB_E_INVALID) return JOB_FAILED;
            c->state_put(c, 1, JOB_STR("first"), JOB_STATE_ON_SUCCESS);
            c->state_put(c, 2, (job_str){big, JOB_MAX_STATE}, JOB_STATE_ON_SUCCESS);
            c->state_put(c, 3, JOB_STR("kept"), JOB_STATE_ALWAYS);
            return JOB_SUCCEEDED;
            """)
        let result = try worker.run(.go()).result
        #expect(result.code == .succeeded)
        #expect(result.stateOnSuccess == StateBlob(version: 2, bytes: Array(repeating: 0, count: 262_144)))
        #expect(result.stateAlways == StateBlob(version: 3, bytes: Array("kept".utf8)))
    }

    @Test func `Enqueued runs come before the result, bad requests are refused to the plugin`() throws {
        try start(
            """
            static char big[JOB_MAX_PAYLOAD + 1];
            if (c->enqueue(c, JOB_NONE, JOB_NONE, JOB_NONE, 0) != JOB_E_INVALID) return 3;
            if (c->enqueue(c, JOB_STR("j"), JOB_STR("{\\"a\\":}"), JOB_NONE, 0) != JOB_E_INVALID) return 3;
            if (c->enqueue(c, JOB_STR("j"), JOB_NONE, JOB_NONE, -1) != JOB_E_INVALID) return 3;
            if (c->enqueue(c, JOB_STR("\\xff"), JOB_NONE, JOB_NONE, 0) != JOB_E_INVALID) return 3;
            if (c->enqueue(c, JOB_STR("j"), (job_str){big, sizeof big}, JOB_NONE, 0) != JOB_E_TOO_LARGE) return 3;
            if (c->enqueue(c, JOB_STR("mint"), JOB_STR("{\\"n\\":1}"), JOB_STR("k1"), 1700000000000000) != JOB_OK) return 3;
            if (c->enqueue(c, JOB_STR("mint"), JOB_NONE, JOB_NONE, 0) != JOB_OK) return 3;
            return JOB_SUCCEEDED;
            """)
        let (before, result) = try worker.run(.go())
        #expect(result.code == .succeeded)
        #expect(
            before == [
                .started(run: RunID(1)),
                .enqueue(
                    run: RunID(1),
                    EnqueueRequest(
                        job: "mint", payload: Array(#"{"n":1}"#.utf8), key: "k1", at: Instant(seconds: 1_700_000_000))),
                .enqueue(run: RunID(1), EnqueueRequest(job: "mint", payload: [])),
            ])
    }

    @Test func `A run may enqueue ten thousand times, not more, and eight megabytes`() throws {
        try start(
            """
            static char big[JOB_MAX_PAYLOAD]; memset(big, ' ', sizeof big); big[0] = '1';
            int many = 0, large = 0;
            if (c->attempt == 1) while (c->enqueue(c, JOB_STR("j"), JOB_NONE, JOB_NONE, 0) == JOB_OK) many++;
            else while (c->enqueue(c, JOB_STR("j"), (job_str){big, sizeof big}, JOB_NONE, 0) == JOB_OK) large++;
            return many == 10000 || large == 32 ? JOB_SUCCEEDED : JOB_FAILED;
            """)
        #expect(try worker.run(.go(1)).result.code == .succeeded)
        #expect(try worker.run(.go(2, attempt: 2)).result.code == .succeeded)
    }

    @Test func `Log lines are bounded and made valid`() throws {
        try start(
            """
            static char big[JOB_MAX_TEXT + 10]; memset(big, 'a', sizeof big); memcpy(big + JOB_MAX_TEXT - 1, "\\xc3\\xa4", 2);
            c->log(c, JOB_LOG_ERROR, (job_str){big, sizeof big}, JOB_STR("{\\"a\\":[1,2.5e3,null]}"));
            c->log(c, 99, JOB_STR("a\\xff" "b"), JOB_STR("[1]"));
            c->log(c, JOB_LOG_DEBUG, (job_str){"a\\0b", 3}, JOB_STR("{\\"a\\":tru}"));
            c->log(c, JOB_LOG_CRITICAL, (job_str){NULL, 10}, JOB_NONE);
            return JOB_SUCCEEDED;
            """)
        let (before, _) = try worker.run(.go())
        #expect(
            before == [
                .started(run: RunID(1)),
                .log(
                    run: RunID(1), level: .error, text: String(repeating: "a", count: 8191),
                    fields: Array(#"{"a":[1,2.5e3,null]}"#.utf8)),
                .log(run: RunID(1), level: .info, text: "a\u{FFFD}b", fields: []),
                .log(run: RunID(1), level: .debug, text: "a\u{FFFD}b", fields: []),
                .log(run: RunID(1), level: .critical, text: "", fields: []),
            ])
    }

    @Test func `Progress is coalesced and its last word is not lost`() throws {
        try start("for (uint64_t i = 1; i <= 100000; i++) c->progress(c, i, 100000, JOB_STR(\"going\")); return JOB_SUCCEEDED;")
        let (before, _) = try worker.run(.go())
        let reports = before.compactMap { frame -> UInt64? in
            if case .progress(_, let done, 100_000, "going") = frame { done } else { nil }
        }
        #expect(reports.first == 1)
        #expect(reports.last == 100_000)
        #expect(reports.count < 1_000)
    }

    @Test func `Metrics arrive, nonsense is refused to the plugin`() throws {
        try start(
            """
            const job_metrics *m = c->host->get_extension(c->host, JOB_STR(JOB_EXT_METRICS));
            if (!m || !JOB_HAS(m, histogram) || c->host->get_extension(c->host, JOB_STR("jobhost.metrics/2"))) return 3;
            const job_str labels[] = {JOB_STR("pair"), JOB_STR("BTC/USD")};
            const job_str twice[] = {JOB_STR("a"), JOB_STR("1"), JOB_STR("a"), JOB_STR("2")};
            if (m->counter(c, JOB_STR("trades"), labels, 1, 2) != JOB_OK) return 3;
            if (m->gauge(c, JOB_STR("price"), NULL, 0, -1.5) != JOB_OK) return 3;
            if (m->histogram(c, JOB_STR("seconds"), NULL, 0, 0.25) != JOB_OK) return 3;
            if (m->counter(c, JOB_STR("trades"), NULL, 0, -1) != JOB_E_INVALID) return 3;
            if (m->gauge(c, JOB_STR("price"), NULL, 0, NAN) != JOB_E_INVALID) return 3;
            if (m->gauge(c, JOB_STR("9price"), NULL, 0, 1) != JOB_E_INVALID) return 3;
            if (m->gauge(c, JOB_STR("price"), NULL, 1, 1) != JOB_E_INVALID) return 3;
            if (m->gauge(c, JOB_STR("price"), twice, 2, 1) != JOB_E_INVALID) return 3;
            return JOB_SUCCEEDED;
            """)
        let (before, result) = try worker.run(.go())
        #expect(result.code == .succeeded)
        #expect(
            before.dropFirst() == [
                .metric(run: RunID(1), MetricSample(kind: .counter, name: "trades", labels: ["pair": "BTC/USD"], value: 2)),
                .metric(run: RunID(1), MetricSample(kind: .gauge, name: "price", labels: [:], value: -1.5)),
                .metric(run: RunID(1), MetricSample(kind: .histogram, name: "seconds", labels: [:], value: 0.25)),
            ])
    }

    @Test func `All threads of a plugin may talk at once`() throws {
        try start(
            """
            pthread_t threads[8];
            for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, talk, (void *)c);
            for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
            return JOB_SUCCEEDED;
            """,
            before: """
                static void *talk(void *p) {
                    const job_context *c = p;
                    for (int i = 0; i < 200; i++) { c->log(c, JOB_LOG_INFO, JOB_STR("line"), JOB_NONE); c->items(c, 1); c->progress(c, 1, 2, JOB_NONE); }
                    return NULL;
                }
                """)
        let (before, result) = try worker.run(.go())
        #expect(result.items == 1_600)
        #expect(before.filter { $0 == .log(run: RunID(1), level: .info, text: "line", fields: []) }.count == 1_600)
    }

    // MARK: limits and cancellation

    @Test func `The remaining time counts down from the start and stops at zero`() throws {
        try start(
            """
            struct timespec now;
            int64_t first = c->remaining_ms(c);
            clock_gettime(CLOCK_REALTIME, &now);
            int64_t left_us = c->deadline_us - (now.tv_sec * 1000000LL + now.tv_nsec / 1000);
            if (c->deadline_us <= 0 || first > 80 || first * 1000 + 2000 < left_us) return JOB_FAILED;
            while (c->remaining_ms(c) > 0) poll(NULL, 0, 5);
            return c->remaining_ms(c) == 0 && !c->is_cancelled(c) ? JOB_SUCCEEDED : JOB_FAILED;
            """)
        #expect(try worker.run(.go(timeout: .milliseconds(80))).result.code == .succeeded)
    }

    @Test func `A cancelled run sees the flag and the descriptor, the next one starts clean`() throws {
        try start(
            """
            struct pollfd p = {.fd = c->cancel_fd(c), .events = POLLIN};
            if (c->attempt == 2) return !c->is_cancelled(c) && poll(&p, 1, 0) == 0 ? JOB_SUCCEEDED : JOB_FAILED;
            c->log(c, JOB_LOG_INFO, JOB_STR("ready"), JOB_NONE);
            if (poll(&p, 1, 180000) != 1) return JOB_FAILED;
            return c->is_cancelled(c) ? JOB_CANCELLED : JOB_FAILED;
            """)
        try worker.send(.run(.go(1)))
        #expect(try worker.receive() == .started(run: RunID(1)))
        _ = try worker.receive()
        try worker.send(.cancel(run: RunID(1)))
        #expect(try worker.untilResult().result.code == .cancelled)
        #expect(try worker.run(.go(2, attempt: 2)).result.code == .succeeded)
    }

    @Test func `A cancellation for another run does nothing`() throws {
        try start("return c->is_cancelled(c) ? JOB_CANCELLED : JOB_SUCCEEDED;")
        try worker.send(.cancel(run: RunID(5)), .run(.go(5)), .cancel(run: RunID(6)))
        #expect(try worker.untilResult().result.code == .succeeded)
    }

    @Test func `Of a burst, a cancelled run that has not started is returned; the others run in order`() throws {
        try start(
            """
            if (c->run_id == 1) { struct pollfd p = {.fd = c->cancel_fd(c), .events = POLLIN}; poll(&p, 1, 180000); }
            return JOB_SUCCEEDED;
            """)
        try worker.send(.run(.go(1)), .run(.go(2)), .run(.go(3)), .run(.go(4)))
        #expect(try worker.receive() == .started(run: RunID(1)))
        try worker.send(.cancel(run: RunID(3)))
        #expect(try worker.receive() == .returned(run: RunID(3)))
        try worker.send(.cancel(run: RunID(1)))
        #expect(try worker.untilResult().result.run == RunID(1))
        let second = try worker.untilResult()
        #expect(second.before == [.started(run: RunID(2))])
        let fourth = try worker.untilResult()
        #expect(fourth.before == [.started(run: RunID(4))])
    }

    @Test func `What is recalled comes back at once, whatever is executing; a run that has started is left alone`() throws {
        try start(
            """
            if (c->run_id == 1) {
                struct pollfd p = {.fd = c->cancel_fd(c), .events = POLLIN};
                if (poll(&p, 1, 180000) != 1) return JOB_FAILED;
            }
            return c->is_cancelled(c) ? JOB_CANCELLED : JOB_SUCCEEDED;
            """)
        try worker.send(.run(.go(1)), .run(.go(2)), .run(.go(3)))
        #expect(try worker.receive() == .started(run: RunID(1)))
        try worker.send(.recall(run: RunID(1)), .recall(run: RunID(3)), .recall(run: RunID(2)), .recall(run: RunID(9)))
        #expect(try worker.receive() == .returned(run: RunID(3)))
        #expect(try worker.receive() == .returned(run: RunID(2)))
        // Not by the recall: only this ends it.
        try worker.send(.cancel(run: RunID(1)), .run(.go(4)))
        #expect(try worker.untilResult().result.code == .cancelled)
        let last = try worker.untilResult().result
        #expect(last.run == RunID(4) && last.code == .succeeded)
    }

    @Test func `Shutdown lets the current run end, returns the rest, destroys instances, exits 0`() throws {
        try start(
            """
            struct pollfd p = {.fd = c->cancel_fd(c), .events = POLLIN};
            c->log(c, JOB_LOG_INFO, JOB_STR("up"), JOB_NONE);
            poll(&p, 1, 180000);
            return JOB_SUCCEEDED;
            """,
            before: """
                static int32_t make(const job_entry *e, const job_host *h, job_str s, const job_error *x, void **i) {
                    (void)e; (void)h; (void)s; (void)x; *i = (void *)"me"; return JOB_SUCCEEDED;
                }
                static void drop(void *i) { printf("destroyed %s", (char *)i); }
                """, members: ".create = make, .destroy = drop")
        try worker.send(.run(.go(1)), .run(.go(2)))
        _ = try worker.receive()
        _ = try worker.receive()
        try worker.send(.shutdown)
        #expect(try worker.receive() == .returned(run: RunID(2)))
        try worker.send(.cancel(run: RunID(1)))
        #expect(try worker.untilResult().result.code == .succeeded)
        #expect(try worker.end() == .exited(0))
        #expect(try worker.outputContains("destroyed me"))
    }

    // MARK: instances

    @Test func `An instance is made once for its settings and shared by its runs`() throws {
        try start(
            "char t[40]; int n = snprintf(t, 40, \"%d %d\", made, ++*(int *)instance); c->summary(c, (job_str){t, (uint64_t)n}); return 0;",
            before: """
                static int made;
                static int32_t make(const job_entry *e, const job_host *h, job_str s, const job_error *x, void **i) {
                    (void)e; (void)h; (void)s; (void)x; made++; *i = calloc(1, sizeof(int)); return JOB_SUCCEEDED;
                }
                """, members: ".create = make, .destroy = free")
        try worker.send(.instance(2))
        #expect(try worker.run(.go(1)).result.text == "1 1")
        #expect(try worker.run(.go(2)).result.text == "1 2")
        #expect(try worker.run(.go(3, instance: 2)).result.text == "2 1")
    }

    @Test(arguments: [
        ("JOB_BAD_SETTINGS", ResultCode.badSettings), ("JOB_RETRY", .retry), ("JOB_FAILED", .failed), ("77", .failed),
    ])
    func `What create refuses is the run's outcome, and create is asked again`(code: String, expected: ResultCode) throws {
        try start(
            "return JOB_SUCCEEDED;",
            before: """
                static int asked;
                static int32_t make(const job_entry *e, const job_host *h, job_str s, const job_error *x, void **i) {
                    (void)e; (void)h; (void)i;
                    if (asked++) return JOB_SUCCEEDED;
                    if (s.size != 7) return JOB_SUCCEEDED;
                    x->set(x, JOB_STR("no such database")); return \(code);
                }
                """, members: ".create = make", settings: #"{"a":1}"#)
        let refused = try worker.run(.go(1)).result
        #expect(refused.code == expected)
        #expect(refused.text == "no such database")
        #expect(try worker.run(.go(2)).result.code == .succeeded)
    }

    @Test func `Settings are validated by the entry, before or between runs`() throws {
        _ = try worker.load(
            workshop.plugin(
                run: "return 0;",
                before: """
                    static int32_t check(const job_entry *e, job_str s, const job_error *x) {
                        if (e->data != &check) return JOB_FAILED;
                        if (s.size == 2) return JOB_SUCCEEDED;
                        if (s.size > 10) x->set(x, JOB_STR("too much"));
                        return JOB_BAD_SETTINGS;
                    }
                    """, members: ".validate = check, .data = (const void *)&check"))
        try worker.send(
            .validate(requestID: 1, entry: "go", settings: Array("{}".utf8)),
            .validate(requestID: 2, entry: "go", settings: Array(#"{"a":12345}"#.utf8)),
            .validate(requestID: 3, entry: "go", settings: Array(#"{"a":1}"#.utf8)),
            .validate(requestID: 4, entry: "gone", settings: Array("{}".utf8)))
        #expect(try worker.receive() == .validated(requestID: 1, error: nil))
        #expect(try worker.receive() == .validated(requestID: 2, error: "too much"))
        #expect(
            try worker.receive() == .validated(requestID: 3, error: "the entry refuses these settings without a reason"))
        #expect(
            try worker.receive() == .validated(requestID: 4, error: "plugin 'evil' has no entry 'gone' (it has: go)"))
    }

    @Test func `A run of an entry that the plugin does not have says which ones it has`() throws {
        _ = try worker.load(workshop.plugin(run: "return 0;"))
        try worker.send(.instance(entry: "gone"))
        let result = try worker.run(.go()).result
        #expect(result.code == .badSettings)
        #expect(result.text == "plugin 'evil' has no entry 'gone' (it has: go)")
    }

    // MARK: output, time

    @Test func `What a plugin prints comes line by line, and the rest with the run's end`() throws {
        try start(
            """
            printf("a line\\n"); c->log(c, JOB_LOG_INFO, JOB_STR("printed"), JOB_NONE);
            struct pollfd p = {.fd = c->cancel_fd(c), .events = POLLIN}; poll(&p, 1, 180000);
            printf("half a line"); return JOB_SUCCEEDED;
            """)
        try worker.send(.run(.go()))
        #expect(try worker.outputContains("a line\n"))
        try worker.send(.cancel(run: RunID(1)))
        _ = try worker.untilResult()
        #expect(try worker.outputContains("half a line"))
    }

    @Test func `The CPU time of a run is measured`() throws {
        try start("volatile double x = 0; if (c->attempt == 2) for (long i = 0; i < 20000000; i++) x += 1; return JOB_SUCCEEDED;")
        let (idle, busy) = (try worker.run(.go(1)).result.cpu, try worker.run(.go(2, attempt: 2)).result.cpu)
        #expect(busy > .milliseconds(5) && idle < busy / 2, "\(idle), \(busy)")
    }

    @Test func `A thousand short runs sent at once come back in order, each started before its result`() throws {
        try start("return JOB_SUCCEEDED;")
        var encoder = FrameEncoder()
        for id in 1 ... 1_000 { try encoder.append(HostFrame.run(.go(Int64(id)))) }
        try worker.sendRaw(encoder.bytes)
        for id in 1 ... 1_000 {
            let (before, result) = try worker.untilResult()
            #expect(before == [.started(run: RunID(Int64(id)))])
            #expect(result.run == RunID(Int64(id)))
        }
    }
}
