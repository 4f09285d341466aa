/*
 * What scripts/package-check and scripts/container-check run, compiled against the header of the package: a run that
 * lasts until it is let go on, one that fails for good, and a library that takes as long to be tried. Whoever opens a
 * FIFO waits until somebody opens its other end.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "job_abi.h"

#define STATE "/var/lib/jobhost/"

/* 0: somebody wrote a byte; else there is no such FIFO, or who opened it left again. */
static int wait_for(const char *fifo) {
    char byte;
    int from;
    do from = open(fifo, O_RDONLY | O_CLOEXEC);
    while (from < 0 && errno == EINTR);
    if (from < 0) return -1;
    ssize_t count;
    do count = read(from, &byte, 1);
    while (count < 0 && errno == EINTR);
    close(from);
    return count == 1 ? 0 : -1;
}

/* Not idempotent: what would be lost is never tried again. */
static int32_t hold(void *instance, const job_context *context) {
    (void)instance;
    context->log(context, JOB_LOG_INFO, JOB_STR("holding"), JOB_NONE);
    if (wait_for(STATE "go-on") == 0) return JOB_SUCCEEDED;
    context->fail(context, 0, JOB_STR("nobody said go on"));
    return JOB_FAILED;
}

static int32_t fail(void *instance, const job_context *context) {
    (void)instance;
    context->fail(context, 7, JOB_STR("no such account"));
    return JOB_FAILED;
}

/* Without the FIFO it takes no time. */
static int32_t validate_slowly(const job_entry *entry, job_str settings, const job_error *error) {
    (void)entry, (void)settings, (void)error;
    wait_for(STATE "validate");
    return JOB_SUCCEEDED;
}

static const job_entry entries[] = {
    {.struct_size = sizeof(job_entry), .id = JOB_STR_INIT("hold"), .description = JOB_STR_INIT("Lasts until it is let go on."), .run = hold},
    {.struct_size = sizeof(job_entry), .id = JOB_STR_INIT("fail"), .description = JOB_STR_INIT("Fails for good."), .run = fail},
    {.struct_size = sizeof(job_entry), .id = JOB_STR_INIT("slow"), .description = JOB_STR_INIT("Is long in being looked at."),
     .validate = validate_slowly, .run = fail},
};

static const job_entry *entry_at(uint32_t index) { return &entries[index]; }

static const job_plugin plugin = {
    .struct_size = sizeof(job_plugin), .entry_count = sizeof(entries) / sizeof(entries[0]), .id = JOB_STR_INIT("check"),
    .version = JOB_STR_INIT("1"), .description = JOB_STR_INIT("What the package is checked with."), .entry = entry_at,
};

JOB_EXPORT const job_plugin *job_plugin_v1(void) { return &plugin; }
