/* The job of `make bench`: does nothing, and says so at once. */
#include "job_abi.h"

static int32_t noop(void *instance, const job_context *context) {
    (void)instance;
    (void)context;
    return JOB_SUCCEEDED;
}

static const job_entry entries[] = {
    {.struct_size = sizeof(job_entry), .flags = JOB_ENTRY_IDEMPOTENT, .id = JOB_STR_INIT("noop"),
     .description = JOB_STR_INIT("Does nothing."), .run = noop},
};

static const job_entry *entry_at(uint32_t index) { return &entries[index]; }

static const job_plugin plugin = {
    .struct_size = sizeof(job_plugin), .entry_count = 1, .id = JOB_STR_INIT("noop"), .version = JOB_STR_INIT("1.0.0"),
    .description = JOB_STR_INIT("Does nothing."), .entry = entry_at,
};

JOB_EXPORT const job_plugin *job_plugin_v1(void) { return &plugin; }
