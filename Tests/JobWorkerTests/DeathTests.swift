import CLinux
import Glibc
import JobCore
import Testing

/// How a worker ends when its plugin, its supervisor or its socket does.
@Suite(.timeLimit(.minutes(5)))
struct DeathTests {
    private let workshop: Workshop
    private let worker: WorkerProcess

    init() throws {
        workshop = try Workshop()
        worker = try WorkerProcess()
    }

    private func startRun(_ body: String, memoryLimit: UInt64 = 0) throws {
        _ = try worker.load(workshop.plugin(run: body), memoryLimit: memoryLimit)
        try worker.send(.instance(), .run(.go()))
        #expect(try worker.receive() == .started(run: RunID(1)))
    }

    @Test func `A crash is seen as its signal, without a result`() throws {
        try startRun("volatile int *nowhere = NULL; *nowhere = 1; return 0;")
        #expect(try worker.end() == .signalled(SIGSEGV))
        #expect(throws: WorkerProcess.Failure.self) { try worker.untilResult() }
    }

    @Test func `An abort is seen as its signal`() throws {
        try startRun("abort();")
        #expect(try worker.end() == .signalled(SIGABRT))
    }

    @Test func `An exception thrown through run is a crash`() throws {
        let source = try workshop.write(
            "thrower.cpp",
            """
            #include "job_abi.h"
            static int32_t run(void *, const job_context *) { throw 1; }
            static const job_entry go = [] {
                job_entry entry{};
                entry.struct_size = sizeof entry;
                entry.id = JOB_STR("go");
                entry.run = run;
                return entry;
            }();
            static const job_plugin plugin = {sizeof(job_plugin), 1, JOB_STR_INIT("p"), {}, {}, [](uint32_t) { return &go; }};
            const job_plugin *job_plugin_v1(void) { return &plugin; }
            """)
        _ = try worker.load(workshop.compileCpp(source))
        try worker.send(.instance(), .run(.go()))
        #expect(try worker.end() == .signalled(SIGABRT))
    }

    @Test func `exit(0) in a run leaves no result`() throws {
        try startRun("exit(0);")
        #expect(try worker.end() == .exited(0))
        #expect(throws: WorkerProcess.Failure.self) { try worker.untilResult() }
    }

    @Test func `When the supervisor is gone, an idle worker ends at once`() throws {
        _ = try worker.load(workshop.plugin(run: "return 0;"))
        worker.closeSocket()
        #expect(try worker.end() == .signalled(SIGKILL))
    }

    @Test func `When the supervisor is gone, even a plugin that loops with all signals blocked ends`() throws {
        try startRun("sigset_t all; sigfillset(&all); sigprocmask(SIG_SETMASK, &all, NULL); for (;;) {}")
        worker.closeSocket()
        #expect(try worker.end() == .signalled(SIGKILL))
    }

    @Test func `A hanging plugin is cancelled in vain and killed`() throws {
        try startRun("signal(SIGTERM, SIG_IGN); for (;;) pause();")
        try worker.send(.cancel(run: RunID(1)))
        kill(worker.pid, SIGKILL)
        #expect(try worker.end() == .signalled(SIGKILL))
    }

    @Test func `More memory than the limit ends the plugin, not the machine`() throws {
        try startRun(
            "for (;;) { char *p = malloc(1 << 20); if (!p) { c->fail(c, 0, JOB_STR(\"no memory\")); return JOB_FAILED; } memset(p, 1, 1 << 20); }",
            memoryLimit: 64 << 20)
        let result = try worker.untilResult().result
        #expect(result.code == .failed)
        #expect(result.text == "no memory")
    }

    @Test func `A plugin that closes descriptors 3 to 400 does not meet the socket`() throws {
        try startRun("for (int fd = 3; fd <= 400; fd++) close(fd); c->log(c, JOB_LOG_INFO, JOB_STR(\"still here\"), JOB_NONE); return 0;")
        #expect(try worker.receive() == .log(run: RunID(1), level: .info, text: "still here", fields: []))
        #expect(try worker.untilResult().result.code == .succeeded)
    }

    @Test func `A plugin that closes everything ends the worker with its own code`() throws {
        try startRun("close_range(3, ~0u, 0); return 0;")
        #expect(try worker.end() == .exited(WorkerExit.socketLost.rawValue))
    }

    @Test func `A plugin that puts a file in the socket's place ends the worker with its own code`() throws {
        try startRun(
            """
            int file = open("/dev/null", O_RDWR);
            for (int fd = 3; fd < 1024; fd++) { int type; socklen_t n = sizeof type; if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0) dup2(file, fd); }
            return 0;
            """)
        #expect(try worker.end() == .exited(WorkerExit.socketLost.rawValue))
    }

    @Test func `What a plugin executes does not inherit the socket`() throws {
        try startRun("char n[20]; snprintf(n, 20, \"%d\", getpid()); return system(\"[ $(ls /proc/self/fd | wc -l) -le 5 ]\") == 0 ? JOB_SUCCEEDED : JOB_FAILED;")
        #expect(try worker.untilResult().result.code == .succeeded)
    }

    @Test func `The orphans of a plugin become the worker's children, where a kill finds them`() throws {
        try startRun(
            """
            int ends[2]; char word[20] = {0};
            if (pipe(ends)) return JOB_FAILED;
            pid_t worker = getpid(), child = fork();
            if (child == 0) {
                if (fork() == 0) {
                    while (getppid() != worker && getppid() != 1) poll(NULL, 0, 1);
                    snprintf(word, sizeof word, "%d", getppid() == worker);
                    if (write(ends[1], word, 2) < 0) _exit(1);
                    _exit(0);
                }
                _exit(0);
            }
            if (read(ends[0], word, 2) != 2) return JOB_FAILED;
            return word[0] == '1' ? JOB_SUCCEEDED : JOB_FAILED;
            """)
        #expect(try worker.untilResult().result.code == .succeeded)
    }

    @Test func `A plugin without a free descriptor takes its children along when the supervisor is gone`() throws {
        try startRun(
            """
            struct rlimit few = {200, 200};
            if (setrlimit(RLIMIT_NOFILE, &few) != 0) return JOB_FAILED;
            pid_t child = fork();
            if (child == 0) { setsid(); for (;;) { pause(); } }
            char text[20];
            int size = snprintf(text, sizeof text, "%d", child);
            while (open("/dev/null", O_RDONLY) >= 0) {}
            c->log(c, JOB_LOG_INFO, (job_str){text, (uint64_t)size}, JOB_NONE);
            for (;;) { pause(); }
            """)
        guard case .log(_, _, let text, _) = try worker.receive(), let child = Int32(text) else { throw WorkerProcess.Failure(description: "no child") }
        let pidfd = cl_pidfd_open(child)
        try #require(pidfd >= 0)
        defer {
            _ = cl_pidfd_signal(pidfd, SIGKILL)
            close(pidfd)
        }
        worker.closeSocket()
        #expect(try worker.end() == .signalled(SIGKILL))
        var end = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        #expect(poll(&end, 1, 120_000) == 1, "it lives on")
    }

    @Test func `A supervisor that does not read slows a flooding plugin down and still ends it`() throws {
        try startRun("for (;;) c->log(c, JOB_LOG_INFO, JOB_STR(\"flood flood flood flood\"), JOB_NONE);")
        // Enough to have filled the socket's buffer; then the plugin blocks in its write.
        for _ in 0 ..< 1_000 { _ = try worker.receive() }
        worker.closeSocket()
        #expect(try worker.end() == .signalled(SIGKILL))
    }
}
