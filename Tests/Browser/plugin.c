/* What the page is shown with: jobs that work, take long, fail, crash, and speak in markup. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job_abi.h"

/* A number of milliseconds after `name` in a JSON text; else `otherwise`. */
static long number(job_str text, const char *name, long otherwise) {
    char copy[2048];
    if (text.size == 0 || text.size >= sizeof copy) return otherwise;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    char *found = strstr(copy, name);
    if (!found || !(found = strchr(found + strlen(name), ':'))) return otherwise;
    return strtol(found + 1, NULL, 10);
}

static long took = 5;

static int32_t create(const job_entry *entry, const job_host *host, job_str settings, const job_error *error, void **instance) {
    (void)entry, (void)host, (void)error;
    long *mine = malloc(sizeof *mine);
    if (!mine) return JOB_RETRY;
    *mine = number(settings, "\"ms\"", took);
    *instance = mine;
    return JOB_SUCCEEDED;
}

static int32_t pass(void *instance, const job_context *context, job_str what) {
    struct pollfd stop = {.fd = context->cancel_fd(context), .events = POLLIN};
    long ms = number(context->payload, "\"ms\"", *(long *)instance), step = ms < 200 ? ms : 200, done = 0;
    for (; done < ms && !context->is_cancelled(context); done += step) {
        context->progress(context, (uint64_t)done, (uint64_t)ms, what);
        poll(&stop, 1, (int)step);
    }
    return context->is_cancelled(context) ? JOB_CANCELLED : JOB_SUCCEEDED;
}

static int32_t work(void *instance, const job_context *context) {
    /* The payload says how this run is to end, until `mend` has been there. */
    if (context->payload.size > 0 && memmem(context->payload.data, context->payload.size, "refuse", 6)) {
        context->log(context, JOB_LOG_ERROR, JOB_STR("the bank refused the transfer"), JOB_STR("{\"account\":7,\"code\":\"R03\"}"));
        context->fail(context, 3, JOB_STR("the bank refused the transfer: R03, no such account"));
        return JOB_FAILED;
    }
    context->log(context, JOB_LOG_INFO, JOB_STR("looked at 120 accounts"), JOB_STR("{\"changed\":4}"));
    context->items(context, 120);
    context->summary(context, JOB_STR("Looked at 120 accounts: 4 changed"));
    return pass(instance, context, JOB_STR("accounts"));
}

static int32_t fail(void *instance, const job_context *context) {
    (void)instance;
    context->log(context, JOB_LOG_INFO, JOB_STR("connecting to node-3.chain.internal:8545"), JOB_NONE);
    context->log(context, JOB_LOG_ERROR, JOB_STR("connection refused"), JOB_STR("{\"peer\":\"node-3.chain.internal:8545\",\"errno\":111}"));
    context->fail(context, 111, JOB_STR("the chain's node does not answer: connection refused by node-3.chain.internal:8545"));
    return JOB_FAILED;
}

static int32_t crash(void *instance, const job_context *context) {
    (void)instance, (void)context;
    fprintf(stderr, "margin: index 12 is out of range\n");
    abort();
}

static int32_t markup(void *instance, const job_context *context) {
    /* How far it is, where the payload says how long. */
    if (number(context->payload, "\"ms\"", 0) > 0) return pass(instance, context, JOB_STR("<img src=x id=progress onerror=document.title='owned'> accounts"));
    printf("<script>document.title='owned'</script>\n");
    printf("<img src=x onerror=\"document.title='owned'\">\n");
    context->log(context, JOB_LOG_WARNING, JOB_STR("<b>bold</b> & \"quoted\""), JOB_STR("{\"<i>\":\"</pre><svg onload=document.title='owned'>\"}"));
    context->fail(context, 1, JOB_STR("<img src=x onerror=document.title='owned'> was no account"));
    return JOB_FAILED;
}

#define ENTRY(name, function, text) \
    {.struct_size = sizeof(job_entry), .flags = JOB_ENTRY_IDEMPOTENT | JOB_ENTRY_CANCELLABLE, .id = JOB_STR_INIT(name), \
     .description = JOB_STR_INIT(text), .create = create, .run = function, .destroy = free}

static const job_entry entries[] = {
    ENTRY("work", work, "Looks at accounts."),
    ENTRY("fail", fail, "Credits what the chain confirmed."),
    ENTRY("crash", crash, "Checks margins."),
    ENTRY("markup", markup, "Speaks in <b>markup</b>."),
};

static const job_entry *entry_at(uint32_t index) { return &entries[index]; }

static const job_plugin plugin = {
    .struct_size = sizeof(job_plugin), .entry_count = 4, .id = JOB_STR_INIT("bench"), .version = JOB_STR_INIT(VERSION),
    .description = JOB_STR_INIT("What the page is tried with."), .entry = entry_at,
};

JOB_EXPORT const job_plugin *job_plugin_v1(void) { return &plugin; }
