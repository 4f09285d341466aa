/// Plugins in C for the tests, good and evil.
enum PluginSource {
    /// What a plugin's source begins with: `tell` writes a word and its pid to the test's beacon,
    /// `wait_gate` waits for the test, `summarize` is a printf into the run's summary.
    static let signals = """
        #ifndef _GNU_SOURCE
        #define _GNU_SOURCE
        #endif
        #include <fcntl.h>
        #include <poll.h>
        #include <pthread.h>
        #include <signal.h>
        #include <stdarg.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/wait.h>
        #include <time.h>
        #include <unistd.h>
        #include "job_abi.h"
        static inline void tell(const char *word) {
            char line[256];
            int size = snprintf(line, sizeof line, "%s %d\\n", word, (int)getpid());
            int file = open(FOLDER "/beacon", O_WRONLY | O_CLOEXEC);
            if (file < 0) return;
            if (write(file, line, (size_t)size) < 0) perror("tell");
            close(file);
        }
        static inline void wait_gate(void) {
            char byte;
            int file = open(FOLDER "/gate", O_RDWR | O_CLOEXEC);
            while (file >= 0 && read(file, &byte, 1) < 0) {}
            close(file);
        }
        static inline int there(const char *path) { return access(path, F_OK) == 0; }
        static inline void append(const char *path, const char *data, size_t size) {
            char line[1024];
            int count = snprintf(line, sizeof line, "%.*s\\n", (int)size, data);
            int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
            if (file < 0 || write(file, line, (size_t)count) < 0) perror(path);
            close(file);
        }
        static inline void summarize(const job_context *context, const char *format, ...) {
            char text[1024];
            va_list list;
            va_start(list, format);
            int size = vsnprintf(text, sizeof text, format, list);
            va_end(list);
            job_str value = {text, (uint64_t)size};
            context->summary(context, value);
        }
        static inline int asked(const job_context *context, const char *word) {
            return memmem(context->payload.data, context->payload.size, word, strlen(word)) != NULL;
        }

        """

    /// A plugin with one entry `run` whose body is given; `members`: further ones of the entry.
    static func entry(
        _ body: String, id: String = "test", flags: String = "JOB_ENTRY_IDEMPOTENT", globals: String = "", members: String = ""
    ) -> String {
        """
        \(signals)
        \(globals)
        static int32_t run(void *instance, const job_context *context) {
            (void)instance; (void)context;
            \(body)
        }
        static const job_entry entries[] = {
            {.struct_size = sizeof(job_entry), .flags = \(flags), .id = JOB_STR_INIT("run"),
             .description = JOB_STR_INIT("A test."), \(members) .run = run},
        };
        static const job_entry *entry_at(uint32_t index) { return &entries[index]; }
        static const job_plugin plugin = {
            .struct_size = sizeof(job_plugin), .entry_count = 1, .id = JOB_STR_INIT("\(id)"),
            .version = JOB_STR_INIT("1.0.0"), .description = JOB_STR_INIT("A test."), .entry = entry_at,
        };
        JOB_EXPORT const job_plugin *job_plugin_v1(void) { return &plugin; }
        """
    }

    /// Tells `started`, waits at the gate, succeeds with this summary, whatever its cancel flag says.
    static func waits(_ summary: String, flags: String = "JOB_ENTRY_IDEMPOTENT") -> String {
        entry("tell(\"started\"); wait_gate(); context->summary(context, JOB_STR(\"\(summary)\")); return JOB_SUCCEEDED;", flags: flags)
    }

    /// Refuses settings with the word `bad`; a run says which settings it has.
    static func picky(_ word: String) -> String {
        entry(
            "summarize(context, \"\(word) with %s\", (const char *)instance); return JOB_SUCCEEDED;",
            globals: """
                static int32_t validate(const job_entry *entry, job_str settings, const job_error *error) {
                    (void)entry;
                    if (!memmem(settings.data, settings.size, "bad", 3)) return JOB_SUCCEEDED;
                    error->set(error, JOB_STR("I do not like these settings"));
                    return JOB_BAD_SETTINGS;
                }
                static int32_t create(const job_entry *entry, const job_host *host, job_str settings, const job_error *error, void **instance) {
                    (void)entry; (void)host; (void)error;
                    *instance = strndup(settings.data, settings.size);
                    return JOB_SUCCEEDED;
                }
                """,
            members: ".validate = validate, .create = create,")
    }

    static func says(_ text: String) -> String {
        entry("context->items(context, 1); context->summary(context, JOB_STR(\"\(text)\")); return JOB_SUCCEEDED;")
    }
    static let succeeds = says("done")
    static let fails = entry("context->fail(context, 7, JOB_STR(\"no such account\")); return JOB_FAILED;")
    static let crashes = entry("printf(\"about to fall\\n\"); fflush(stdout); *(volatile int *)8 = 1; return JOB_SUCCEEDED;")
    /// Blocks every signal and never looks at its cancel flag.
    static let hangs = entry(
        "sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL); printf(\"hanging\\n\"); for (;;) pause();",
        flags: "0")
    static let waitsForCancel = entry(
        """
        struct pollfd stop = {.fd = context->cancel_fd(context), .events = POLLIN};
        while (!context->is_cancelled(context)) poll(&stop, 1, 1000);
        return JOB_CANCELLED;
        """, flags: "JOB_ENTRY_IDEMPOTENT | JOB_ENTRY_CANCELLABLE")
}
