/*
 * The smallest useful plugin, in C.
 *
 *   cc -std=c11 -O2 -fPIC -shared -fvisibility=hidden -I Sources/JobABI/include -o libHelloC.so Examples/hello-c/hello.c
 */
#include <poll.h>
#include <stdio.h>

#include "job_abi.h"

/* Counts its own runs: state outlives the process. */
static int32_t greet(void *instance, const job_context *context) {
    (void)instance;
    uint32_t version = 0;
    job_str bytes = JOB_NONE;
    unsigned char count = 0;
    if (context->state_get(context, &version, &bytes) && version == 1 && bytes.size == 1)
        count = (unsigned char)bytes.data[0];
    count++;
    printf("Hello, world, number %d\n", count); /* what is printed is in the run's log */
    if (context->state_put(context, 1, (job_str){(const char *)&count, 1}, JOB_STATE_ON_SUCCESS) != JOB_OK)
        return JOB_FAILED;
    context->items(context, 1);
    context->summary(context, JOB_STR("said hello"));
    return JOB_SUCCEEDED;
}

/* Waits until it is told to stop: poll() beside whatever else one waits for. */
static int32_t wait_here(void *instance, const job_context *context) {
    (void)instance;
    struct pollfd stop = {.fd = context->cancel_fd(context), .events = POLLIN};
    context->log(context, JOB_LOG_INFO, JOB_STR("waiting"), JOB_STR("{\"for\":\"cancellation\"}"));
    while (!context->is_cancelled(context)) poll(&stop, 1, 1000);
    return JOB_CANCELLED;
}

static const job_entry entries[] = {
    {.struct_size = sizeof(job_entry), .flags = JOB_ENTRY_IDEMPOTENT, .state_version = 1,
     .id = JOB_STR_INIT("greet"), .description = JOB_STR_INIT("Says hello and counts."),
     .default_schedule = JOB_STR_INIT("every 10s"), .run = greet},
    {.struct_size = sizeof(job_entry), .flags = JOB_ENTRY_IDEMPOTENT | JOB_ENTRY_CANCELLABLE,
     .id = JOB_STR_INIT("wait"), .description = JOB_STR_INIT("Waits to be cancelled."), .run = wait_here},
};

static const job_entry *entry_at(uint32_t index) { return &entries[index]; }

static const job_plugin plugin = {
    .struct_size = sizeof(job_plugin), .entry_count = 2, .id = JOB_STR_INIT("hello-c"),
    .version = JOB_STR_INIT("1.0.0"), .description = JOB_STR_INIT("An example in C."), .entry = entry_at,
};

JOB_EXPORT const job_plugin *job_plugin_v1(void) { return &plugin; }
