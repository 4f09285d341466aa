/*
 * Runs one entry of a plugin again and again in this process, through the contract that the worker
 * uses (job_abi.h), and its floor beside it: the same effect in SQL that is written for it, in plain C.
 *
 *   entry LIBRARY ENTRY SETTINGS RUNS DATABASE NEW FLOOR
 *
 * NEW and FLOOR are files with SQL. Before each run NEW is executed in DATABASE (untimed): the work
 * that has come since the last one. FLOOR ("-": none) is executed in a copy of DATABASE, DATABASE.floor,
 * after the same NEW; what it selects is read, column by column. `:now` in them is the present in ms.
 *
 *   entry http PORT CALLS CONNECTIONS
 *
 * is the floor of calls: GETs over connections that are kept, so many at a time.
 *
 * Prints one line of JSON; times in milliseconds, in the order of the runs.
 */
#define _GNU_SOURCE
#include "job_abi.h"
#include <arpa/inet.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static double milliseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static double cpu(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e3;
}

static job_str text(const char *string) { return (job_str){string, strlen(string)}; }

/* ---------------------------------------------------------------- the host's side */

static char said[JOB_MAX_TEXT + 1];
static int never = -1;

static void keep(const job_context *context, job_str sentence) {
    (void)context;
    size_t size = sentence.size < JOB_MAX_TEXT ? sentence.size : JOB_MAX_TEXT;
    memcpy(said, sentence.data ? sentence.data : "", size);
    said[size] = 0;
}
static void fail(const job_context *context, int32_t code, job_str sentence) { (void)code; keep(context, sentence); }
static void refuse(const job_error *error, job_str reason) { (void)error; keep(NULL, reason); }
static const void *extension(const job_host *host, job_str id) { (void)host; (void)id; return NULL; }
static int32_t goes_on(const job_context *context) { (void)context; return 0; }
static int32_t cancel_fd(const job_context *context) { (void)context; return never; }
static int64_t no_limit(const job_context *context) { (void)context; return JOB_NO_LIMIT; }
static void progress(const job_context *c, uint64_t done, uint64_t total, job_str what) { (void)c; (void)done; (void)total; (void)what; }
static void log_line(const job_context *c, int32_t level, job_str line, job_str fields) {
    (void)c; (void)fields;
    if (level >= JOB_LOG_ERROR) fprintf(stderr, "%.*s\n", (int)line.size, line.data);
}
static int32_t state_get(const job_context *c, uint32_t *version, job_str *bytes) { (void)c; (void)version; (void)bytes; return 0; }
static int32_t state_put(const job_context *c, uint32_t v, job_str b, int32_t when) { (void)c; (void)v; (void)b; (void)when; return JOB_OK; }
static void items(const job_context *context, uint64_t count) { (void)context; (void)count; }
static int32_t enqueue(const job_context *c, job_str j, job_str p, job_str k, int64_t at) { (void)c; (void)j; (void)p; (void)k; (void)at; return JOB_OK; }
static void at(const job_context *context, int64_t instant) { (void)context; (void)instant; }

/* ---------------------------------------------------------------- SQL */

static char *file(const char *path) {
    FILE *stream = fopen(path, "r");
    if (!stream) die(path, "cannot be read");
    fseek(stream, 0, SEEK_END);
    long size = ftell(stream);
    rewind(stream);
    char *bytes = calloc(1, (size_t)size + 1);
    if (!bytes || fread(bytes, 1, (size_t)size, stream) != (size_t)size) die(path, "cannot be read");
    fclose(stream);
    return bytes;
}

static sqlite3 *open_database(const char *path) {
    sqlite3 *database;
    if (sqlite3_open(path, &database) != SQLITE_OK) die(path, sqlite3_errmsg(database));
    sqlite3_busy_timeout(database, 10000);
    sqlite3_exec(database, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    return database;
}

static volatile uint64_t seen;

static void execute(sqlite3 *database, const char *script) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    while (*script) {
        sqlite3_stmt *statement;
        if (sqlite3_prepare_v2(database, script, -1, &statement, &script) != SQLITE_OK) die(script, sqlite3_errmsg(database));
        if (!statement) continue;
        int parameter = sqlite3_bind_parameter_index(statement, ":now");
        if (parameter) sqlite3_bind_int64(statement, parameter, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
        int result, columns = sqlite3_column_count(statement);
        while ((result = sqlite3_step(statement)) == SQLITE_ROW)
            for (int i = 0; i < columns; i++) {
                const unsigned char *bytes = sqlite3_column_text(statement, i);
                seen += bytes ? bytes[0] : 0;
            }
        if (result != SQLITE_DONE) die(sqlite3_sql(statement), sqlite3_errmsg(database));
        sqlite3_finalize(statement);
    }
}

/* New work. No checkpoint of it is left to whoever is measured, nor the first write into a log that
   begins anew, for which SQLite waits once more for the disk. */
static void prepare(sqlite3 *database, const char *script) {
    execute(database, script);
    execute(database, "PRAGMA wal_checkpoint(TRUNCATE); UPDATE exchange_info SET created_ms = created_ms + 1");
}

/* ---------------------------------------------------------------- calls */

struct calls {
    int port, count, failed;
};

static void *call(void *argument) {
    struct calls *calls = argument;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)calls->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    const char request[] = "GET /api/v3/order?orderId=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    char answer[4096];
    calls->failed = connect(descriptor, (struct sockaddr *)&address, sizeof address);
    for (int i = 0; i < calls->count && !calls->failed; i++) {
        size_t size = 0;
        if (write(descriptor, request, sizeof request - 1) < 0) calls->failed = 1;
        do {
            ssize_t more = read(descriptor, answer + size, sizeof answer - 1 - size);
            if (more <= 0) calls->failed = 1;
            else size += (size_t)more;
            answer[size] = 0;
        } while (!calls->failed && !strstr(answer, "\r\n\r\n"));
        char *length = strcasestr(answer, "content-length:"), *body = strstr(answer, "\r\n\r\n");
        size_t wanted = length && body ? (size_t)(body + 4 - answer) + strtoul(length + 15, NULL, 10) : 0;
        while (!calls->failed && size < wanted) {
            ssize_t more = read(descriptor, answer + size, sizeof answer - 1 - size);
            if (more <= 0) calls->failed = 1;
            else size += (size_t)more;
        }
    }
    close(descriptor);
    return NULL;
}

static int http(int port, int count, int connections) {
    pthread_t threads[64];
    struct calls calls[64];
    double began = milliseconds();
    if (connections > 64) die("http", "at most 64 connections");
    for (int i = 0; i < connections; i++) {
        calls[i] = (struct calls){port, count / connections, 0};
        pthread_create(&threads[i], NULL, call, &calls[i]);
    }
    for (int i = 0; i < connections; i++) {
        pthread_join(threads[i], NULL);
        if (calls[i].failed) die("http", "a call failed");
    }
    printf("{\"floor\": [%.3f]}\n", milliseconds() - began);
    return 0;
}

/* ---------------------------------------------------------------- */

static void print(const char *name, const double *values, int count) {
    printf("\"%s\": [", name);
    for (int i = 0; i < count; i++) printf("%s%.3f", i ? ", " : "", values[i]);
    printf("], ");
}

int main(int count, char **arguments) {
    /* As the plugins' driver does at its first connection, which comes too late for it in this process. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, 1 << 20);
    if (count == 5 && !strcmp(arguments[1], "http")) return http(atoi(arguments[2]), atoi(arguments[3]), atoi(arguments[4]));
    if (count != 8) die("entry", "LIBRARY ENTRY SETTINGS RUNS DATABASE NEW FLOOR, or http PORT CALLS CONNECTIONS");
    int runs = atoi(arguments[4]);
    const char *path = arguments[5];
    char *fresh = file(arguments[6]), *least = strcmp(arguments[7], "-") ? file(arguments[7]) : NULL;
    double *ours = calloc((size_t)runs, sizeof *ours), *busy = calloc((size_t)runs, sizeof *busy), *floor = calloc((size_t)runs, sizeof *floor);
    if (runs < 1 || !ours || !busy || !floor) die("entry", "RUNS");

    if (least) {
        char copy[4096];
        snprintf(copy, sizeof copy, "%s.floor", path);
        sqlite3 *database = open_database(copy);
        for (int i = 0; i < runs; i++) {
            prepare(database, fresh);
            double began = milliseconds();
            execute(database, least);
            floor[i] = milliseconds() - began;
        }
        sqlite3_close(database);
    }

    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) die(arguments[1], dlerror());
    const job_plugin *(*plugin_v1)(void) = (const job_plugin *(*)(void))(uintptr_t)dlsym(library, "job_plugin_v1");
    if (!plugin_v1) die(arguments[1], dlerror());
    const job_plugin *plugin = plugin_v1();
    const job_entry *entry = NULL;
    for (uint32_t i = 0; i < plugin->entry_count; i++) {
        job_str id = plugin->entry(i)->id;
        if (id.size == strlen(arguments[2]) && !memcmp(id.data, arguments[2], id.size)) entry = plugin->entry(i);
    }
    if (!entry) die(arguments[2], "there is no such entry");
    job_host host = {.struct_size = sizeof host, .name = text("bench"), .get_extension = extension};
    job_error error = {.struct_size = sizeof error, .set = refuse};
    void *instance = NULL;
    if (entry->create && entry->create(entry, &host, text(arguments[3]), &error, &instance) != JOB_SUCCEEDED) die(arguments[2], said);
    never = eventfd(0, EFD_CLOEXEC);

    sqlite3 *database = open_database(path);
    char cause[64];
    for (int i = 0; i < runs; i++) {
        prepare(database, fresh);
        snprintf(cause, sizeof cause, "bench:%d:%d", getpid(), i);
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        job_context context = {
            .struct_size = sizeof context, .attempt = 1, .run_id = i + 1, .fence = i + 1,
            .fire_time_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000,
            .idempotency_key = text(cause), .trigger = text("schedule"), .job = text("bench"), .host = &host,
            .is_cancelled = goes_on, .cancel_fd = cancel_fd, .remaining_ms = no_limit, .progress = progress, .log = log_line,
            .summary = keep, .fail = fail, .state_get = state_get, .state_put = state_put, .items = items, .enqueue = enqueue,
            .snooze_until = at, .retry_not_before = at,
        };
        double used = cpu(), began = milliseconds();
        int32_t code = entry->run(instance, &context);
        ours[i] = milliseconds() - began;
        busy[i] = cpu() - used;
        if (code != JOB_SUCCEEDED && code != JOB_NOTHING_TO_DO) die(arguments[2], said);
    }
    sqlite3_close(database);
    printf("{");
    print("ours", ours, runs);
    print("cpu", busy, runs);
    if (least) print("floor", floor, runs);
    for (char *c = said; *c; c++)
        if (*c == '"' || *c == '\\') *c = '\'';
    printf("\"said\": \"%s\"}\n", said);
    return 0;
}
