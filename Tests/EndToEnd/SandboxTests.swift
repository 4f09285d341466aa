import CLinux
import Glibc
import Testing

/// The real binaries: evil plugins in a sandbox, and machines that cannot make one.
@Suite("Sandbox, end to end", .timeLimit(.minutes(8))) struct SandboxTests {
    /// Tries something and says what came of it: the name of errno, or "done".
    private func tries(_ attempt: String, globals: String = "") -> String {
        PluginSource.entry(
            """
            errno = 0;
            long result = \(attempt);
            summarize(context, "%s", result < 0 ? strerrorname_np(errno) : "done");
            return JOB_SUCCEEDED;
            """,
            globals: """
                #include <errno.h>
                #include <sched.h>
                #include <sys/mount.h>
                #include <sys/ptrace.h>
                #include <sys/resource.h>
                #include <sys/socket.h>
                #include <sys/stat.h>
                #include <sys/syscall.h>
                \(globals)
                """)
    }

    private func outcome(_ attempt: String, _ sandbox: String?, globals: String = "") async throws -> String {
        var text = ""
        try await TestHost.with { test in
            try await test.plugin("evil", tries(attempt, globals: globals))
            mkdir(test.folder + "/mine", 0o755)
            try test.write("secret", to: "secret")
            try test.config(Toml.plugin("evil", sandbox.map { "sandbox = { \($0) }" } ?? "") + Toml.job("evil", of: "evil", Toml.once))
            _ = try await test.start()
            let answer = try await test.jobhost("trigger", "evil", "--wait")
            text = answer.output + answer.errors
        }
        return text
    }

    @Test(
        "what a sandbox forbids fails with EPERM, and is possible without one",
        .enabled(if: getuid() == 0),
        arguments: [
            "mount(\"none\", FOLDER \"/nowhere\", \"tmpfs\", 0, NULL)", "unshare(CLONE_NEWNS)",
            "syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0)", "syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0) < 0 ? -1 : 1",
            "chroot(\"/\")",
        ])
    func forbidden(attempt: String) async throws {
        // The child of a clone goes on as the parent does; here it ends.
        let attempt = attempt.contains("clone")
            ? "({ long child = syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0); if (child == 0) _exit(0); child; })" : attempt
        let free = try await outcome(attempt, nil)
        #expect(free.contains("done") || free.contains("ENOENT"), "\(free)")
        #expect(try await outcome(attempt, "nice = 0").contains("EPERM"))
    }

    @Test("ptrace and io_uring fail in a sandbox, whoever asks", arguments: ["ptrace(PTRACE_TRACEME, 0, 0, 0)", "syscall(425, 1, NULL)"])
    func alwaysForbidden(attempt: String) async throws {
        #expect(try await outcome(attempt, "nice = 0").contains("EPERM"))
    }

    @Test("network = false: no socket but Unix ones", arguments: ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"])
    func network(family: String) async throws {
        let attempt = "socket(\(family), SOCK_DGRAM, 0)"
        #expect(try await outcome(attempt, "network = false").contains(family == "AF_UNIX" ? "done" : "EPERM"))
        #expect(try await outcome(attempt, "nice = 0").contains("done"))
    }

    static let hasLandlock = clw_landlock_version() > 0

    @Test(
        "read and write: nothing else can be opened, made or removed",
        .enabled(if: hasLandlock),
        arguments: [
            ("open(FOLDER \"/secret\", O_RDONLY)", "EACCES"), ("open(FOLDER \"/mine/new\", O_WRONLY | O_CREAT, 0600)", "done"),
            ("open(FOLDER \"/new\", O_WRONLY | O_CREAT, 0600)", "EACCES"), ("unlink(FOLDER \"/secret\")", "EACCES"),
            ("rename(FOLDER \"/secret\", FOLDER \"/mine/secret\")", "EACCES"), ("open(\"/usr/bin/env\", O_RDONLY)", "done"),
            ("open(\"/usr/bin/env\", O_WRONLY)", "EACCES"), ("open(\"/dev/null\", O_RDWR)", "done"),
            ("open(FOLDER \"/var/jobhost.db\", O_RDONLY)", "EACCES"), ("open(FOLDER \"/jobs.toml\", O_RDONLY)", "done"),
        ])
    func files(attempt: String, expected: String) async throws {
        let found = try await outcome(attempt, "read = [\"jobs.toml\"], write = [\"mine\"]")
        #expect(found.contains(expected), "\(found)")
    }

    /// With `read` or without: where the host's own secrets are. (Without the rights by which root may measure
    /// everybody, which no other user has.)
    @Test("the host's environment and memory are out of reach in any sandbox", .enabled(if: clw_landlock_version() >= 2), arguments: ["environ", "mem"])
    func hostsSecrets(file: String) async throws {
        let globals = """
            #include <linux/capability.h>
            #include <fcntl.h>
            #include <stdio.h>
            #include <unistd.h>
            static int host(const char *file) {
                struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
                struct __user_cap_data_struct caps[2];
                char path[64];
                if (syscall(SYS_capget, &head, caps) != 0) return -1;
                caps[0].effective &= ~(1u << CAP_SYS_ADMIN);
                caps[1].effective &= ~(1u << (CAP_PERFMON - 32));
                if (syscall(SYS_capset, &head, caps) != 0) return -1;
                snprintf(path, sizeof path, "/proc/%d/%s", getppid(), file);
                return open(path, O_RDONLY);
            }
            """
        let attempt = "host(\"\(file)\")"
        #expect(try await outcome(attempt, nil, globals: globals).contains("done"))
        for sandbox in ["nice = 0", "network = false", "read = []"] {
            let found = try await outcome(attempt, sandbox, globals: globals)
            #expect(found.contains("EACCES") || found.contains("EPERM"), "\(sandbox): \(found)")
        }
    }

    @Test("a sandbox without `read` and `write` leaves files as they are: also renaming from folder to folder", .enabled(if: hasLandlock))
    func renaming() async throws {
        #expect(try await outcome("rename(FOLDER \"/secret\", FOLDER \"/mine/secret\")", "nice = 0").contains("done"))
    }

    @Test("a thread and a child of the plugin are in it too", .enabled(if: hasLandlock))
    func inherited() async throws {
        let child = """
            ({ int status = 0; pid_t child = fork(); \
            if (child == 0) _exit(open(FOLDER "/secret", O_RDONLY) < 0 ? errno : 0); \
            waitpid(child, &status, 0); errno = WEXITSTATUS(status); errno ? -1 : 0; })
            """
        #expect(try await outcome(child, "write = [\"mine\"]").contains("EACCES"))
        let thread = "({ pthread_t t; void *r; pthread_create(&t, NULL, tried, NULL); pthread_join(t, &r); errno = (int)(long)r; errno ? -1 : 0; })"
        let globals = "static void *tried(void *x) { (void)x; return (void *)(long)(socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0); }"
        #expect(try await outcome(thread, "network = false", globals: globals).contains("EPERM"))
    }

    @Test("a plugin in a sandbox cannot signal the host", .enabled(if: clw_landlock_version() >= 6))
    func signals() async throws {
        #expect(try await outcome("kill(getppid(), SIGKILL)", "nice = 0").contains("EPERM"))
    }

    @Test("nice: added to the host's own")
    func nice() async throws {
        let attempt = "({ errno = 0; int n = getpriority(PRIO_PROCESS, 0); errno = n == 7 ? 0 : ERANGE; errno ? -1 : 0; })"
        let found = try await outcome(attempt, "nice = 7")
        #expect(found.contains("done"), "\(found)")
    }

    @Test("cpu_time: a run that burns more is killed, one that waits is not; the next one has its own")
    func cpuTime() async throws {
        try await TestHost.with { test in
            try await test.plugin("busy", PluginSource.entry("for (volatile long i = 0;; i++) {} return JOB_SUCCEEDED;"))
            try await test.plugin("calm", PluginSource.succeeds)
            try test.config(
                Toml.plugin("busy", "sandbox = { cpu_time = \"1s\" }") + Toml.job("busy", of: "busy", Toml.once)
                    + Toml.plugin("calm", "sandbox = { cpu_time = \"1s\" }") + Toml.job("calm", of: "calm", Toml.once))
            let host = try await test.start()
            try await test.jobhost("enqueue", "busy")
            try await host.logs("✗ busy", "crashed", "CPU limit of 1s")
            #expect(try await test.jobhost("trigger", "calm", "--wait").code == 0)
        }
    }

    // MARK: Machines that cannot

    /// Executes a command on a kernel that lacks one thing, as far as the command can tell: Landlock, or filters of system
    /// calls by either of their two ways.
    private let without = """
        #include <errno.h>
        #include <linux/filter.h>
        #include <linux/seccomp.h>
        #include <stddef.h>
        #include <string.h>
        #include <sys/prctl.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        #define CALL(number) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), \\
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS)
        int main(int count, char **arguments) {
            (void)count;
            struct sock_filter landlock[] = {CALL(444), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
            struct sock_filter seccomp[] = {
                CALL(SYS_seccomp),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            };
            struct sock_fprog filters[] = {{.len = 4, .filter = landlock}, {.len = 8, .filter = seccomp}};
            struct sock_fprog *filter = &filters[strcmp(arguments[1], "seccomp") == 0];
            if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter)) return 99;
            execv(arguments[2], arguments + 2);
            return 98;
        }
        """

    @Test("a kernel without Landlock: read and write are refused at check and start in a sentence; the rest of a sandbox holds")
    func noLandlock() async throws {
        try await TestHost.with { test in
            try await test.program("without", without)
            try await test.plugin("evil", tries("socket(AF_INET, SOCK_DGRAM, 0)"))
            try await test.plugin("good", PluginSource.succeeds)
            mkdir(test.folder + "/mine", 0o755)
            let good = Toml.plugin("good") + Toml.job("good", of: "good", Toml.once)
            let job = Toml.job("evil", of: "evil", Toml.once)
            try test.config(good + Toml.plugin("evil", "sandbox = { write = [\"mine\"] }") + job)
            let check = try test.run(test.folder + "/without", "landlock", TestHost.binaries + "/jobhost", "check", "--config", "jobs.toml")
            #expect(await check.exitCode() == 4)
            #expect((check.output.all + check.errors.all).joined(separator: " ").contains("this kernel has no Landlock"), "\(check.output.all)")
            let host = try await test.start(through: [test.folder + "/without", "landlock"])
            #expect(host.errors.all.contains { $0.contains("plugin evil refused") && $0.contains("this kernel has no Landlock") })
            #expect(try await test.jobhost("trigger", "good", "--wait").code == 0, "the others serve")
            try test.config(good + Toml.plugin("evil", "sandbox = { network = false }") + job)
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await test.jobhost("trigger", "evil", "--wait").output.contains("EPERM"))
        }
    }

    @Test("a kernel that filters no system calls: any sandbox is refused at check and start in a sentence with the way out; what has none serves")
    func noSeccomp() async throws {
        try await TestHost.with { test in
            try await test.program("without", without)
            try await test.plugin("evil", tries("ptrace(PTRACE_TRACEME, 0, 0, 0)"))
            try await test.plugin("good", PluginSource.succeeds)
            let good = Toml.plugin("good") + Toml.job("good", of: "good", Toml.once)
            let job = Toml.job("evil", of: "evil", Toml.once)
            try test.config(good + Toml.plugin("evil", "sandbox = { nice = 0 }") + job)
            let sentences = ["this kernel does not filter system calls (seccomp: ", "the plugin can only run without [sandbox]"]
            let check = try test.run(test.folder + "/without", "seccomp", TestHost.binaries + "/jobhost", "check", "--config", "jobs.toml")
            #expect(await check.exitCode() == 4)
            let said = (check.output.all + check.errors.all).joined(separator: " ")
            for sentence in sentences { #expect(said.contains(sentence), "\(said)") }
            let host = try await test.start(through: [test.folder + "/without", "seccomp"])
            #expect(host.errors.all.contains { line in line.contains("plugin evil refused") && sentences.allSatisfy(line.contains) }, "\(host.errors.all)")
            #expect(try await test.jobhost("trigger", "evil", "--wait").code != 0, "nothing of it runs")
            #expect(try await test.jobhost("trigger", "good", "--wait").code == 0, "the others serve")
            try test.config(good + Toml.plugin("evil") + job)
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await test.jobhost("trigger", "evil", "--wait").code == 0)
        }
    }

    // MARK: Whose library it is

    @Test("a library or folder that everybody may write to is refused, with the way out; allow_world_writable takes it")
    func worldWritable() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            let job = Toml.job("good", of: "good", Toml.once)
            try test.config(Toml.plugin("good") + job)
            chmod(test.library("good"), 0o666)
            let file = try await test.jobhost("check")
            #expect(file.code == 4 && file.output.contains("chmod o-w \(test.library("good"))"), "\(file.output)")
            chmod(test.library("good"), 0o644)
            chmod(test.folder + "/plugins", 0o777)
            let folder = try await test.jobhost("check")
            #expect(folder.code == 4 && folder.output.contains("everybody may write to the folder"), "\(folder.output)")
            try test.config(Toml.plugin("good", "allow_world_writable = true") + job)
            #expect(try await test.jobhost("check").code == 0)
        }
    }

    /// The key that allows what the library is now.
    private func pin(_ test: TestHost, _ plugin: String) async throws -> String {
        let hash = try test.run("/usr/bin/sha256sum", test.library(plugin))
        _ = await hash.exitCode()
        return "sha256 = \"\(hash.output.all.first?.prefix(64) ?? "")\""
    }

    @Test("sha256: another content than the pinned one is refused, and what serves goes on")
    func pinned() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("first"))
            let job = Toml.job("good", of: "good", Toml.once)
            try test.config(Toml.plugin("good", try await pin(test, "good")) + job)
            _ = try await test.start()
            try await test.plugin("good", PluginSource.says("second"))
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4 && reload.output.contains("allows only"), "\(reload.output)")
            #expect(try await test.jobhost("trigger", "good", "--wait").output.contains("first"))
        }
    }

    @Test("sha256 at the start: a content that is not the pinned one is refused; the copy that served before serves if it is that, and else nothing of the plugin")
    func pinnedAtStart() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("first"))
            try await test.plugin("other", PluginSource.succeeds)
            let (first, good) = (try await pin(test, "good"), Toml.job("good", of: "good", Toml.once))
            let other = Toml.plugin("other") + Toml.job("other", of: "other", Toml.once)
            /// Starts the host, sees what it says of the plugin and what the plugin does, and stops it.
            func life(_ pin: String, refused: String?, says: String?) async throws {
                try test.config(Toml.plugin("good", pin) + good + other)
                let host = try await test.start()
                let lines = host.errors.all.filter { $0.contains("allows only") }
                #expect(lines.isEmpty == (refused == nil) && lines.allSatisfy { $0.contains(refused ?? "") }, "\(host.errors.all)")
                let run = try await test.jobhost("trigger", "good", "--wait")
                if let says { #expect(run.code == 0 && run.output.contains(says), "\(run)") } else { #expect(run.code != 0, "\(run)") }
                #expect(try await test.jobhost("trigger", "other", "--wait").code == 0, "the others serve")
                host.signal(SIGTERM)
                #expect(await host.exitCode() == 0)
            }
            try await life(first, refused: nil, says: "first")
            try await test.plugin("good", PluginSource.says("second"))
            try await life(first, refused: "serves instead", says: "first")
            // What is neither in the file nor among the copies.
            let unknown = "sha256 = \"" + String(repeating: "0", count: 64) + "\""
            try await life(unknown, refused: "good refused", says: nil)
            try await life(try await pin(test, "good"), refused: nil, says: "second")
            // The file's library alone served last.
            try await life(first, refused: "good refused", says: nil)
        }
    }
}
