/* The jobs of `make bench`: one does nothing, and says so at once; one shouts for three
   seconds; one writes garbage to every descriptor, one closes them all; one hangs for ten minutes,
   whatever it is told. */
#define _GNU_SOURCE
#include "job_abi.h"
#include <string.h>
#include <time.h>
#include <unistd.h>

static int32_t noop(void *instance, const job_context *context) {
    (void)instance;
    (void)context;
    return JOB_SUCCEEDED;
}

static int32_t flood(void *instance, const job_context *context) {
    (void)instance;
    char block[65536];
    memset(block, 'x', sizeof block);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (time_t end = now.tv_sec + 3; now.tv_sec < end; clock_gettime(CLOCK_MONOTONIC, &now)) {
        if (write(1, block, sizeof block) < 0) return JOB_FAILED;
        for (int i = 0; i < 1000; i++) context->log(context, JOB_LOG_INFO, JOB_STR("the same line of the log"), JOB_NONE);
    }
    return JOB_SUCCEEDED;
}

static int32_t litter(void *instance, const job_context *context) {
    (void)instance;
    (void)context;
    for (int round = 0; round < 100; round++)
        for (int fd = 1; fd < 1024; fd++)
            if (write(fd, "\xff\x00garbage of all kinds\n\x80", 24) < 0) continue;
    return JOB_SUCCEEDED;
}

static int32_t shut(void *instance, const job_context *context) {
    (void)instance;
    (void)context;
    for (int fd = 0; fd < 1024; fd++) close(fd);
    return JOB_SUCCEEDED;
}

static int32_t hang(void *instance, const job_context *context) {
    (void)instance;
    (void)context;
    sleep(600);
    return JOB_SUCCEEDED;
}

static const job_entry entries[] = {
    {.struct_size = sizeof(job_entry), .flags = JOB_ENTRY_IDEMPOTENT, .id = JOB_STR_INIT("noop"),
     .description = JOB_STR_INIT("Does nothing."), .run = noop},
    {.struct_size = sizeof(job_entry), .id = JOB_STR_INIT("flood"),
     .description = JOB_STR_INIT("Writes and logs without end."), .run = flood},
    {.struct_size = sizeof(job_entry), .id = JOB_STR_INIT("litter"),
     .description = JOB_STR_INIT("Writes garbage to every descriptor."), .run = litter},
    {.struct_size = sizeof(job_entry), .id = JOB_STR_INIT("shut"),
     .description = JOB_STR_INIT("Closes every descriptor."), .run = shut},
    {.struct_size = sizeof(job_entry), .id = JOB_STR_INIT("hang"),
     .description = JOB_STR_INIT("Does not end."), .run = hang},
};

static const job_entry *entry_at(uint32_t index) { return &entries[index]; }

static const job_plugin plugin = {
    .struct_size = sizeof(job_plugin), .entry_count = sizeof entries / sizeof *entries, .id = JOB_STR_INIT("noop"), .version = JOB_STR_INIT("1.0.0"),
    .description = JOB_STR_INIT("Nothing, or too much."), .entry = entry_at,
};

JOB_EXPORT const job_plugin *job_plugin_v1(void) { return &plugin; }
