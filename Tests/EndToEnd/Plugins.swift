/// Plugins in C for the tests, good and evil.
enum PluginSource {
    /// A plugin with one entry `run` whose body is given.
    static func entry(_ body: String, id: String = "test", flags: String = "JOB_ENTRY_IDEMPOTENT", globals: String = "") -> String {
        """
        #define _GNU_SOURCE
        #include <poll.h>
        #include <pthread.h>
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/wait.h>
        #include <unistd.h>
        #include "job_abi.h"
        \(globals)
        static int32_t run(void *instance, const job_context *context) {
            (void)instance; (void)context;
            \(body)
        }
        static const job_entry entries[] = {
            {.struct_size = sizeof(job_entry), .flags = \(flags), .id = JOB_STR_INIT("run"),
             .description = JOB_STR_INIT("A test."), .run = run},
        };
        static const job_entry *entry_at(uint32_t index) { return &entries[index]; }
        static const job_plugin plugin = {
            .struct_size = sizeof(job_plugin), .entry_count = 1, .id = JOB_STR_INIT("\(id)"),
            .version = JOB_STR_INIT("1.0.0"), .description = JOB_STR_INIT("A test."), .entry = entry_at,
        };
        JOB_EXPORT const job_plugin *job_plugin_v1(void) { return &plugin; }
        """
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
