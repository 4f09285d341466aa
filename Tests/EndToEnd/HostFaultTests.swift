import Glibc
import Testing

/// The real binaries: the system refuses what the host needs for starting a worker. That is the
/// host's fault: said, tried again, charged to no job.
@Suite("Host faults, end to end", .timeLimit(.minutes(8))) struct HostFaultTests {
    /// One failure would open the breaker, one attempt is all there is.
    private let config = Toml.plugin("good")
        + Toml.job("good", of: "good", "schedule = \"none\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 1, open_for = \"1h\" }")

    private func limit(_ resource: String, of host: Child, to value: Int, through wrapper: [String] = []) async throws {
        let command = wrapper + ["/usr/bin/prlimit", "--pid", "\(host.pid)", "--\(resource)=\(value):"]
        let tool = try Child(command[0], Array(command.dropFirst()), environment: [:], folder: "/")
        guard await tool.exitCode() == 0 else { throw TestHost.Failure("prlimit: \(tool.errors.all)") }
    }

    /// A process that really has no memory left cannot go on itself; here only the start of another one is refused, while
    /// the file `scarce` is there.
    private func scarce(_ test: TestHost) async throws {
        try await test.sharedLibrary("scarce", """
            #define _GNU_SOURCE
            #include <dlfcn.h>
            #include <errno.h>
            #include <spawn.h>
            #include <unistd.h>
            typedef int spawn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *, char *const *);
            int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
                            const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
                if (access("scarce", F_OK) == 0) return ENOMEM;
                return ((spawn *)dlsym(RTLD_NEXT, "posix_spawn"))(pid, path, files, attributes, argv, envp);
            }
            """)
    }

    /// No descriptor is left for files whose paths end so, while the file `scarce` is there.
    private func scarce(_ test: TestHost, forFiles end: String) async throws {
        try await test.sharedLibrary("scarce", """
            #define _GNU_SOURCE
            #undef _FORTIFY_SOURCE
            #include <dirent.h>
            #include <dlfcn.h>
            #include <errno.h>
            #include <fcntl.h>
            #include <stdarg.h>
            #include <string.h>
            #include <unistd.h>
            static int refuses(const char *path) {
                size_t length = strlen(path), end = strlen("\(end)");
                if (length < end || strcmp(path + length - end, "\(end)") != 0 || access("scarce", F_OK) != 0) return 0;
                errno = EMFILE;
                return 1;
            }
            #define OPEN(name) int name(const char *path, int flags, ...) { \\
                va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \\
                if (refuses(path)) return -1; \\
                return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name))(path, flags, mode); }
            OPEN(open)
            OPEN(open64)
            DIR *opendir(const char *path) {
                if (refuses(path)) return NULL;
                return ((DIR *(*)(const char *))dlsym(RTLD_NEXT, "opendir"))(path);
            }
            """)
    }

    /// `/healthz` and `status` say what keeps the pool from starting a worker.
    private func isVisible(_ test: TestHost, _ words: String...) async throws {
        let health = try await test.health()
        #expect(health.status == 503, "\(health)")
        let status = try await test.jobhost("status").output
        for word in words { #expect(health.body.contains(word) && status.contains(word), "\(word): \(health)\n\(status)") }
    }

    /// What was enqueued before ran once, when the cause was gone, and nobody was blamed.
    private func recovered(_ test: TestHost, _ host: Child) async throws {
        try await host.logs("✓ good")
        try await host.logs("pool good: recovered, after it failed")
        while try test.ledger.number("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL") == 0 { try Task.checkCancellation() }
        #expect(try test.ledger.texts("SELECT outcome || ' ' || attempt FROM runs") == ["succeeded 1"])
        #expect(try test.ledger.number("SELECT count(*) FROM attempts") == 0)
        let job = try await test.jobhost("show", "good", "--json")
        #expect(job.output.contains("\"closed\""), "\(job.output)")
        #expect(try await test.jobhost("status").output.contains("pool good") == false)
        let health = try await test.health()
        #expect(health.status == 200 && !health.body.contains("pool good"), "\(health)")
    }

    @Test("Out of descriptors: a host fault, tried again until there are some", .enabled(if: access("/usr/bin/prlimit", X_OK) == 0))
    func descriptors() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            let host = try await test.start()
            // Enough for somebody who asks, too few for a worker: its socket and pipes alone are six.
            try await limit("nofile", of: host, to: Proc.descriptorLimit(of: host.pid, free: 5))
            try test.ledger.execute("INSERT INTO enqueue_inbox (job) VALUES ('good')")
            try await host.logs("pool good: cannot", "Too many open files (EMFILE)")
            try await isVisible(test, "pool good: cannot", "EMFILE")
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE outcome IS NOT NULL") == 0)
            // Too few for anything: nobody can call it, and it lives.
            try await limit("nofile", of: host, to: 16)
            try await limit("nofile", of: host, to: 1_024)
            try await recovered(test, host)
        }
    }

    @Test(
        "However few descriptors are left, from none to enough for a worker: a host fault or a run, no process and no descriptor left behind",
        .enabled(if: access("/usr/bin/prlimit", X_OK) == 0))
    func fewDescriptors() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            // Each run needs a worker of its own.
            try test.config(config.replacing("library = ", with: "recycle = { runs = 1 }\nlibrary = "))
            let host = try await test.start()
            func workersGo() {
                for child in Proc.children(of: host.pid) {
                    let isGone = Proc.ended(child)
                    #expect(isGone)
                }
            }
            #expect(try await test.jobhost("trigger", "good", "--wait").code == 0)
            workersGo()
            let before = Proc.openFiles(of: host.pid)
            // As many as its socket, its pipes, its slate, its pidfd and a file of /proc, and some more.
            var short: [Int] = []
            for free in 0...12 {
                let from = host.errors.all.count
                try await limit("nofile", of: host, to: Proc.descriptorLimit(of: host.pid, free: free))
                try test.ledger.execute("INSERT INTO enqueue_inbox (job) VALUES ('good')")
                let (at, line) = try #require(await host.errors.next(from: from) { $0.contains("pool good: cannot") || $0.contains("✓ good") })
                if line.contains("cannot") {
                    #expect(line.contains("EMFILE"), "\(free): \(line)")
                    short.append(free)
                }
                try await limit("nofile", of: host, to: 1_024)
                try await host.logs("✓ good", from: line.contains("cannot") ? at : from)
                workersGo()
            }
            #expect(short == Array(0..<short.count) && (7...11).contains(short.count), "\(short)")
            #expect(Proc.openFiles(of: host.pid) <= before + 2)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.texts("SELECT DISTINCT outcome || ' ' || attempt FROM runs") == ["succeeded 1"])
            #expect(try test.ledger.number("SELECT count(*) FROM runs") == 14)
            #expect(try test.ledger.number("SELECT count(*) FROM attempts") == 0, "charged to no job")
        }
    }

    @Test("No program to start workers with: status says so until it is back")
    func noWorkerProgram() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            let worker = test.folder + "/worker"
            symlink(TestHost.binaries + "/jobhost-worker", worker)
            let host = try await test.start(["JOBHOST_WORKER": worker])
            unlink(worker)
            try await test.jobhost("enqueue", "good")
            try await host.logs("pool good: cannot start \(worker)", "ENOENT")
            try await isVisible(test, "pool good: cannot start", "ENOENT")
            symlink(TestHost.binaries + "/jobhost-worker", worker)
            try await recovered(test, host)
        }
    }

    @Test("Out of memory for a process: a host fault, in status, tried again until there is some")
    func memory() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            try await scarce(test)
            let host = try await test.start(["LD_PRELOAD": test.folder + "/libscarce.so"])
            try test.write("", to: "scarce")
            try await test.jobhost("enqueue", "good")
            try await host.logs("pool good: cannot start", "ENOMEM")
            try await isVisible(test, "pool good: cannot start", "ENOMEM")
            unlink(test.folder + "/scarce")
            try await recovered(test, host)
        }
    }

    @Test(
        "Out of processes: a host fault, in status, tried again until there is room",
        .enabled(if: getuid() == 0 && access("/usr/bin/prlimit", X_OK) == 0 && access("/usr/bin/setpriv", X_OK) == 0))
    func processes() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(config)
            // The limit does not hold for root. A user that nothing else runs as.
            let asUser = ["/usr/bin/setpriv", "--reuid", "64901", "--regid", "64901", "--clear-groups"]
            chown(test.folder, 64_901, 64_901)
            let host = try await test.start(through: asUser)
            try await limit("nproc", of: host, to: 1, through: asUser)
            try await test.jobhost("enqueue", "good")
            try await host.logs("pool good: cannot start", "EAGAIN")
            try await isVisible(test, "pool good: cannot start", "EAGAIN")
            try await limit("nproc", of: host, to: 1_000, through: asUser)
            try await recovered(test, host)
        }
    }

    @Test("No process for the probes of a reload: the old library goes on, the new job is said to be missing, and both are tried again until they serve, unasked")
    func reloadWithoutProcesses() async throws {
        try await TestHost.with { test in
            try await scarce(test)
            try await test.plugin("good", PluginSource.says("old code"))
            let old = Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"500ms\"")
            try test.config(old)
            let host = try await test.start(["LD_PRELOAD": test.folder + "/libscarce.so"])
            try await host.logs("✓ tick", "old code")
            try test.write("", to: "scarce")
            try await test.plugin("good", PluginSource.says("new code"))
            try await test.plugin("fresh", PluginSource.says("fresh code"))
            try test.config(old + Toml.plugin("fresh") + Toml.job("fresh", of: "fresh", Toml.once))
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4, "\(reload.output) \(reload.errors)")
            for name in ["good", "fresh"] { #expect(reload.output.contains("the host could not try \(test.library(name)): cannot start"), "\(reload.output)") }
            #expect(reload.output.contains("ENOMEM"), "\(reload.output)")
            let refused = try await host.logs("generation 2 serves")
            let health = try await test.health()
            #expect(health.status == 503 && health.body.contains("fresh") && health.body.contains("ENOMEM"), "\(health)")
            // What is warm goes on.
            try await host.logs("✓ tick", "old code", from: refused)
            #expect(try await test.jobhost("trigger", "fresh").code != 0)
            // Nobody asks, and nobody touches a file or reads the config.
            try test.config("[jobs.half\n")
            unlink(test.folder + "/scarce")
            let again = try await host.logs("could not be tried for a fault of the host's", from: refused)
            try await host.logs("fresh added", from: again)
            try await host.logs("✓ tick", "new code", from: again)
            #expect(try await test.jobhost("trigger", "fresh", "--wait").output.contains("fresh code"))
            #expect(try await test.health().status == 200)
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE outcome <> 'succeeded'") == 0, "charged to no job")
        }
    }

    @Test(
        "No descriptor for a file of the config, or its folder, at a reload: refused as the host's own fault, seen in health, and tried again unasked until it is read",
        arguments: ["/jobs.toml", "/jobs.d/more.toml", "/jobs.d"])
    func reloadWithoutDescriptors(end: String) async throws {
        try await TestHost.with { test in
            try await scarce(test, forFiles: end)
            try await test.plugin("good", PluginSource.says("served"))
            mkdir(test.folder + "/jobs.d", 0o755)
            let old = "include = [\"jobs.d/*.toml\"]\n" + Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"500ms\"")
            try test.config(old)
            let host = try await test.start(["LD_PRELOAD": test.folder + "/libscarce.so"])
            try await host.logs("✓ tick")
            try test.write(Toml.job("fresh", of: "good", Toml.once), to: "jobs.d/more.toml")
            try test.write("", to: "scarce")
            host.signal(SIGHUP)
            let refused = try await host.logs("too many open files, which is the host's own fault")
            try await isVisible(test, "too many open files", "tried again")
            // Nothing has gone, and what is asked for meanwhile is answered as it is.
            try await host.logs("✓ tick", from: refused)
            let reload = try await test.jobhost("reload", "--allow-empty")
            #expect(reload.code != 0 && (reload.output + reload.errors).contains("the reload is tried again"), "\(reload.output) \(reload.errors)")
            unlink(test.folder + "/scarce")
            let again = try await host.logs("reload tried again", from: refused)
            try await host.logs("fresh added", from: again)
            #expect(try await test.jobhost("trigger", "fresh", "--wait").output.contains("served"))
            try await test.probe("/healthz", until: 200)
        }
    }

    @Test(
        "No descriptor for the file of a time zone that nothing has read yet: no bad schedule, but the host's own fault, seen in health, and read again unasked",
        arguments: ["the job's", "the entry's"])
    func zoneWithoutDescriptors(whose: String) async throws {
        try await TestHost.with { test in
            try await scarce(test, forFiles: "/Asia/Tokyo")
            let isEntrys = whose == "the entry's"
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("fresh", PluginSource.entry(
                "return JOB_SUCCEEDED;", members: isEntrys ? ".default_schedule = JOB_STR_INIT(\"cron 0 8 * * * Asia/Tokyo\")," : ""))
            let old = Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"500ms\"")
            try test.config(old)
            let host = try await test.start(["LD_PRELOAD": test.folder + "/libscarce.so"])
            try await host.logs("✓ tick")
            try test.write("", to: "scarce")
            let cron = isEntrys ? "" : "cron = \"0 8 * * *\"\ntimezone = \"Asia/Tokyo\""
            try test.config(old + Toml.plugin("fresh") + Toml.job("fresh", of: "fresh", cron))
            host.signal(SIGHUP)
            let refused = try await host.logs("Asia/Tokyo", "the host's own fault")
            let health = try await test.health()
            #expect(health.status == 503 && health.body.contains("Asia/Tokyo"), "\(health)")
            try await host.logs("✓ tick", from: refused)
            unlink(test.folder + "/scarce")
            try await host.logs("fresh added", from: refused)
            #expect(try await test.jobhost("trigger", "fresh", "--wait").code == 0)
            try await test.probe("/healthz", until: 200)
        }
    }

    @Test("No process while the host starts: it serves what it can try, which is nothing, and all of it once there is one")
    func startWithoutProcesses() async throws {
        try await TestHost.with { test in
            try await scarce(test)
            try await test.plugin("good", PluginSource.says("served"))
            try test.config(config + "on_start = true\n")
            try test.write("", to: "scarce")
            let host = try await test.start(["LD_PRELOAD": test.folder + "/libscarce.so"])
            try await host.logs("good refused", "the host could not try", "ENOMEM")
            let health = try await test.health()
            #expect(health.status == 503 && health.body.contains("ENOMEM"), "\(health)")
            unlink(test.folder + "/scarce")
            try await host.logs("✓ good", "served")
            // Its run may end before the reload that brought it has.
            try await test.probe("/healthz", until: 200)
        }
    }
}
