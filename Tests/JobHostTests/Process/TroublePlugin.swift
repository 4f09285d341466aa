import CLinux
import Glibc
import Testing

/// A plugin in C with one entry for each kind of trouble, compiled by the tests.
enum TroublePlugin {
    static let entries = [
        "good", "nothing", "hang", "polite", "late", "segfault", "exit0", "grandchild", "orphan", "flood", "hoard",
        "allocate", "print", "beat", "snooze", "enqueue", "deaf", "words", "brief",
        "scatter", "share", "spin", "hand_on",
    ]

    /// Entries with a `doctor`.
    private static let doctors: Set = ["good", "segfault", "hang", "polite"]

    /// Compiles the plugin into `folder`; the path of the library. `extra` goes into the source
    /// at file scope.
    static func build(in folder: String, extra: String = "") throws -> String {
        let source = folder + "/trouble.c"
        let library = folder + "/libTrouble.so"
        try write(common + extra + table, to: source)
        let include = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let code = try run(["cc", "-std=c11", "-shared", "-fPIC", "-I/\(include)/Sources/JobABI/include", "-o", library, source])
        try #require(code == 0, "cc failed with \(code)")
        return library
    }

    private static let common = """
        #define _GNU_SOURCE
        #include "job_abi.h"
        #include <fcntl.h>
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mman.h>
        #include <sys/wait.h>
        #include <unistd.h>

        static int32_t good(void *i, const job_context *c) { c->items(c, 3); return JOB_SUCCEEDED; }
        static int32_t nothing(void *i, const job_context *c) { c->summary(c, JOB_STR("0 rows")); return JOB_NOTHING_TO_DO; }
        static int32_t hang(void *i, const job_context *c) { for (;;) pause(); }
        static int32_t polite(void *i, const job_context *c) {
            while (!c->is_cancelled(c)) usleep(2000);
            return JOB_CANCELLED;
        }
        static int32_t late(void *i, const job_context *c) {
            while (!c->is_cancelled(c)) usleep(2000);
            return JOB_SUCCEEDED;
        }
        static int32_t segfault(void *i, const job_context *c) { *(volatile int *)0 = 1; return JOB_SUCCEEDED; }
        static int32_t exit0(void *i, const job_context *c) { exit(0); }
        /* The pid of a process two forks and one session away. */
        static int distant(void) {
            int ends[2], pid = 0;
            if (pipe(ends)) return 0;
            if (fork() == 0) {
                setsid();
                int child = fork();
                if (child == 0) { close(1); close(2); signal(SIGTERM, SIG_IGN); for (;;) pause(); }
                if (write(ends[1], &child, sizeof child) < 0) _exit(1);
                _exit(0);
            }
            if (read(ends[0], &pid, sizeof pid) < 0) return 0;
            close(ends[0]); close(ends[1]);
            while (wait(NULL) < 0) {}
            return pid;
        }
        static int32_t grandchild(void *i, const job_context *c) { c->progress(c, distant(), 0, JOB_NONE); for (;;) pause(); }
        static int32_t orphan(void *i, const job_context *c) { c->progress(c, distant(), 0, JOB_NONE); abort(); }
        static int32_t flood(void *i, const job_context *c) {
            for (int n = 0; n < 40000; n++) printf("line %d of a flood that nobody can read as fast as it comes\\n", n);
            printf("the last words\\n");
            fflush(stdout);
            return JOB_SUCCEEDED;
        }
        static int32_t hoard(void *i, const job_context *c) {
            for (;;) {
                char *p = malloc(1 << 20);
                if (!p) { fprintf(stderr, "out of memory\\n"); abort(); }
                memset(p, 1, 1 << 20);
            }
        }
        static int32_t allocate(void *i, const job_context *c) {
            char *p = malloc(1L << 40);
            if (!p) fprintf(stderr, "Cannot allocate memory\\n");
            *(volatile char *)p = 1;
            return JOB_SUCCEEDED;
        }
        static int32_t print(void *i, const job_context *c) {
            printf("to stdout\\n");
            fprintf(stderr, "to stderr");
            c->log(c, JOB_LOG_WARNING, JOB_STR("by log"), JOB_STR("{\\"n\\": 1}"));
            return JOB_SUCCEEDED;
        }
        static int32_t beat(void *i, const job_context *c) {
            for (int n = 0; n < 4; n++) { usleep(60000); c->progress(c, n, 4, JOB_STR("beat")); }
            while (!c->is_cancelled(c)) usleep(2000);
            return JOB_CANCELLED;
        }
        static int32_t snooze(void *i, const job_context *c) { c->snooze_until(c, INT64_MAX); return JOB_SNOOZE; }
        static int32_t enqueue(void *i, const job_context *c) {
            c->enqueue(c, JOB_STR("other"), JOB_STR("{\\"a\\":1}"), JOB_STR("key"), 0);
            return c->payload.size ? JOB_FAILED : JOB_SUCCEEDED;
        }
        /* Leaves a process behind that ends at once. */
        static int32_t scatter(void *i, const job_context *c) {
            pid_t child = fork();
            if (child == 0) { if (fork() == 0) _exit(0); _exit(0); }
            return waitpid(child, NULL, 0) == child ? JOB_SUCCEEDED : JOB_FAILED;
        }
        static int32_t share(void *i, const job_context *c) {
            for (int n = 0; n < 256; n++) {
                char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
                if (p == MAP_FAILED) abort();
                memset(p, 1, 1 << 20);
            }
            return polite(i, c);
        }
        static int32_t spin(void *i, const job_context *c) { return system("while :; do :; done") == 0 ? JOB_SUCCEEDED : JOB_FAILED; }
        /* As much as a run may, in names and keys as long as they may be. */
        static int32_t hand_on(void *i, const job_context *c) {
            static char job[JOB_MAX_KEY], key[JOB_MAX_KEY], payload[JOB_MAX_ENQUEUE_BYTES / JOB_MAX_ENQUEUES];
            memset(job, 'j', sizeof job); memset(key, 'k', sizeof key); memset(payload, '1', sizeof payload);
            for (int n = 0; n < JOB_MAX_ENQUEUES; n++) {
                snprintf(key, sizeof key, "%05d", n); key[5] = 'k';
                int32_t code = c->enqueue(c, (job_str){job, sizeof job}, (job_str){payload, sizeof payload}, (job_str){key, sizeof key}, 0);
                if (code != JOB_OK) return JOB_FAILED;
            }
            return JOB_SUCCEEDED;
        }
        static int32_t deaf(void *i, const job_context *c) {
            close_range(3, ~0u, 0);
            for (;;) pause();
        }
        static int32_t words(void *i, const job_context *c) {
            fprintf(stderr, "Main.swift:3: Fatal error: Index out of range\\n");
            for (int n = 0; n < 2000; n++) fprintf(stderr, "frame %d\\n", n);
            raise(SIGILL);
            return JOB_SUCCEEDED;
        }
        /* Nothing of what it was about to say is left on the slate: what stands there behind the attempts that began. */
        static void forget(void) {
            char line[600];
            unsigned long from, to, kept = 256 + 16 * \(CL_SLATE_ENTRIES);
            FILE *maps = fopen("/proc/self/maps", "r");
            while (maps && fgets(line, sizeof line, maps)) {
                if (strstr(line, "/slates/") && sscanf(line, "%lx-%lx", &from, &to) == 2) memset((char *)from + kept, 0, to - from - kept);
            }
        }
        /* Does at once what the payload says: nothing, print its number, stand still, crash, or wait for a file. */
        static int32_t brief(void *i, const job_context *c) {
            char text[512], began[600];
            int size = snprintf(text, sizeof text, "%.*s", (int)c->payload.size, c->payload.data);
            if (strncmp(text, "\\"wait ", 6) == 0) {
                text[size - 1] = 0;
                snprintf(began, sizeof began, "%s.began", text + 6);
                close(open(began, O_CREAT | O_WRONLY, 0600));
                while (access(text + 6, F_OK) != 0) usleep(200);
                return JOB_SUCCEEDED;
            }
            if (strcmp(text, "\\"stop\\"") == 0) raise(SIGSTOP);
            if (strcmp(text, "\\"forget\\"") == 0) { forget(); abort(); }
            if (strcmp(text, "\\"crash\\"") == 0) *(volatile int *)0 = 1;
            int both = strcmp(text, "\\"both\\"") == 0;
            size = snprintf(began, sizeof began, "run %lld\\n", (long long)c->run_id);
            if (both || strcmp(text, "\\"out\\"") == 0) write(1, began, size);
            /* Without the end of the line, so that only the end of the run ends it. */
            if (both || strcmp(text, "\\"err\\"") == 0) write(2, began, size - 1);
            return JOB_SUCCEEDED;
        }
        static int32_t doctor_of_good(void *i, const job_context *c, const job_findings *f) {
            f->add(f, JOB_FINDING_OK, JOB_STR("rows"), JOB_STR("3 rows"));
            f->add(f, JOB_FINDING_ERROR, JOB_STR("peer"), c->job);
            return JOB_SUCCEEDED;
        }
        static int32_t doctor_of_segfault(void *i, const job_context *c, const job_findings *f) {
            f->add(f, JOB_FINDING_WARNING, JOB_STR("rows"), JOB_STR("told before the fall"));
            fprintf(stderr, "about to fall\\n");
            *(volatile int *)0 = 1;
            return JOB_SUCCEEDED;
        }
        static int32_t doctor_of_hang(void *i, const job_context *c, const job_findings *f) { for (;;) pause(); }
        static int32_t doctor_of_polite(void *i, const job_context *c, const job_findings *f) {
            while (!c->is_cancelled(c)) usleep(2000);
            c->fail(c, 0, JOB_STR("no time left for the ledger"));
            return JOB_CANCELLED;
        }
        static int32_t validate(const job_entry *e, job_str settings, const job_error *error) {
            if (settings.size > 2) { error->set(error, JOB_STR("no settings, please")); return JOB_BAD_SETTINGS; }
            return JOB_SUCCEEDED;
        }
        """

    private static var table: String {
        let rows = entries.map { name in
            let doctor = doctors.contains(name) ? "doctor_of_\(name)" : "NULL"
            return "{ .struct_size = sizeof(job_entry), .flags = 3, .id = JOB_STR_INIT(\"\(name)\"), .validate = validate, "
                + ".run = \(name), .doctor = \(doctor) },"
        }
        return """

            static const job_entry table[] = { \(rows.joined(separator: "\n")) };
            static const job_entry *entry(uint32_t index) { return &table[index]; }
            static const job_plugin plugin = {
                .struct_size = sizeof(job_plugin), .entry_count = \(entries.count), .id = JOB_STR_INIT("trouble"),
                .version = JOB_STR_INIT("1"), .entry = entry,
            };
            const job_plugin *job_plugin_v1(void) { return &plugin; }

            """
    }
}

/// A folder that goes with its owner.
final class TemporaryFolder: Sendable {
    let path: String
    init() {
        var template = Array("/tmp/jobhost-test-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    }
    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." {
                    if unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
                }
            }
            closedir(directory)
        }
        rmdir(path)
    }
}

struct TestFailure: Error { var text: String }

func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path) }

func write(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o644) throws {
    let fd = cl_open(path, O_WRONLY | O_CREAT | O_TRUNC, mode)
    guard fd >= 0 else { throw TestFailure(text: "cannot write \(path)") }
    defer { close(fd) }
    var done = 0
    while done < bytes.count {
        let count = bytes.withUnsafeBytes { Glibc.write(fd, $0.baseAddress! + done, bytes.count - done) }
        guard count > 0 else { throw TestFailure(text: "cannot write \(path)") }
        done += count
    }
}

/// Runs a command of the PATH to its end; its exit code, 128 for a signal.
func run(_ command: [String]) throws -> Int32 {
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var pid: pid_t = 0
    guard posix_spawnp(&pid, command[0], nil, nil, &arguments, environ) == 0 else {
        throw TestFailure(text: "cannot run \(command[0])")
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 {
        guard errno == EINTR else { throw TestFailure(text: "lost \(command[0])") }
    }
    return status & 0x7f == 0 ? (status >> 8) & 0xff : 128
}
