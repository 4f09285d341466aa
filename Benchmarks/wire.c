/*
 * Speaks to a real worker as the supervisor does (Sources/JobCore/Wire): what dispatch costs without
 * loop, ledger and store, and how soon a worker is ready.
 *
 *   wire start WORKER LIBRARY VERSION COUNT    spawn to `ready`, one worker after the other
 *   wire runs  WORKER LIBRARY VERSION COUNT    a warm worker: COUNT runs of the entry `noop` one at a time,
 *                                              then as many in one burst
 *   wire spawn PROGRAM ARGUMENT COUNT          the floor of a start: spawn to exit
 *   wire twice PROGRAM ARGUMENT COUNT          the floor of a reload: two of these, one after the other
 *
 * Compiled with Sources/CLinux/slate.c. Prints one line of JSON; times in microseconds.
 */
#define _GNU_SOURCE
#include "clinux_slate.h"
#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { LOAD = 1, SETTINGS = 3, RUN = 4, SHUTDOWN = 6, READY = 65, RESULT = 73 };

static void die(const char *what) {
    fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double microseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

/* ---------------------------------------------------------------- frames */

static uint16_t version;

struct bytes {
    uint8_t *at;
    size_t size, room;
};

static void put(struct bytes *b, const void *data, size_t size) {
    if (b->size + size > b->room && !(b->at = realloc(b->at, b->room = (b->size + size) * 2))) die("memory");
    memcpy(b->at + b->size, data, size);
    b->size += size;
}
static void put8(struct bytes *b, uint8_t value) { put(b, &value, sizeof value); }
static void put32(struct bytes *b, uint32_t value) { put(b, &value, sizeof value); }
static void put64(struct bytes *b, uint64_t value) { put(b, &value, sizeof value); }
static void text(struct bytes *b, const char *value) {
    put32(b, (uint32_t)strlen(value));
    put(b, value, strlen(value));
}
static size_t begin(struct bytes *b, uint8_t tag) {
    size_t start = b->size;
    put32(b, 0);
    put(b, &version, sizeof version);
    put8(b, tag);
    return start;
}
static void end(struct bytes *b, size_t start) {
    uint32_t length = (uint32_t)(b->size - start - 4);
    memcpy(b->at + start, &length, sizeof length);
}
static void run(struct bytes *b, int64_t number) {
    char key[40];
    size_t frame = begin(b, RUN);
    put64(b, (uint64_t)number);
    put32(b, 1); /* instance */
    put32(b, 1); /* attempt */
    put8(b, 1);  /* trigger: schedule */
    put64(b, 0); /* fire time */
    put64(b, 0); /* timeout: none */
    put64(b, (uint64_t)number); /* fence */
    snprintf(key, sizeof key, "bench@%lld", (long long)number);
    text(b, key);
    text(b, ""); /* payload */
    put32(b, 0); /* state's version */
    text(b, ""); /* state */
    put8(b, 0);  /* not before: at once */
    end(b, frame);
}

static void send_all(int socket, const struct bytes *b) {
    for (size_t done = 0; done < b->size;) {
        ssize_t count = write(socket, b->at + done, b->size - done);
        if (count <= 0) die("the worker's socket");
        done += (size_t)count;
    }
}

/* Reads once; how many frames of this tag have become whole. */
static long hear(int socket, uint8_t tag) {
    static uint8_t buffer[1 << 21];
    static size_t size;
    ssize_t count = read(socket, buffer + size, sizeof buffer - size);
    if (count <= 0) die("the worker is gone");
    size += (size_t)count;
    long found = 0;
    size_t start = 0;
    for (uint32_t length; size - start >= 7; start += 4 + length) {
        memcpy(&length, buffer + start, sizeof length);
        if (size - start < 4 + (size_t)length) break;
        found += buffer[start + 6] == tag;
        if (tag == READY && buffer[start + 6] != READY) {
            fprintf(stderr, "wire: the worker refused: %.*s\n", (int)length - 3, buffer + start + 7);
            exit(1);
        }
    }
    memmove(buffer, buffer + start, size -= start);
    return found;
}

/* ---------------------------------------------------------------- a worker */

struct worker {
    pid_t pid;
    int socket, output[2];
};

/* Up to the `load` frame: a socket on 3, a slate on 4, a pipe behind stdout and stderr. */
static struct worker spawn_worker(const char *program, const char *library) {
    struct worker worker;
    int ends[2];
    char path[] = "/tmp/jobhost-bench-slate-XXXXXX";
    if (mkdtemp(path) == NULL) die("a folder");
    char slate_path[sizeof path + 8];
    snprintf(slate_path, sizeof slate_path, "%s/slate", path);
    int slate = cl_slate_create(slate_path);
    unlink(slate_path);
    rmdir(path);
    if (slate < 0) die("a slate");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) || pipe(worker.output)) die("a socket");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, worker.output[1], 1);
    posix_spawn_file_actions_adddup2(&actions, worker.output[1], 2);
    /* Out of the way first: a descriptor that is 3 already would stay close-on-exec. */
    posix_spawn_file_actions_adddup2(&actions, ends[1], 90);
    posix_spawn_file_actions_adddup2(&actions, slate, 91);
    posix_spawn_file_actions_adddup2(&actions, 90, 3);
    posix_spawn_file_actions_adddup2(&actions, 91, 4);
    posix_spawn_file_actions_addclosefrom_np(&actions, 5);
    char *arguments[] = {(char *)program, "--fd", "3", "--slate", "4", NULL};
    if ((errno = posix_spawn(&worker.pid, program, &actions, NULL, arguments, environ))) die(program);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    close(slate);
    worker.socket = ends[0];
    struct bytes load = {0};
    size_t frame = begin(&load, LOAD);
    text(&load, library);
    text(&load, "bench");
    put64(&load, 0); /* memory */
    put64(&load, 0); /* files */
    end(&load, frame);
    send_all(worker.socket, &load);
    free(load.at);
    return worker;
}

static void stop(struct worker worker) {
    close(worker.socket);
    close(worker.output[0]);
    close(worker.output[1]);
    waitpid(worker.pid, NULL, 0);
}

/* ---------------------------------------------------------------- what is measured */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}
static void report(const char *more, double *samples, long count) {
    qsort(samples, (size_t)count, sizeof *samples, ascending);
    printf("{\"count\": %ld, \"best\": %.2f, \"p50\": %.2f, \"p99\": %.2f%s}\n", count, samples[0], samples[count / 2],
           samples[count * 99 / 100], more);
}

static int measure_start(const char *program, const char *library, long count, double *samples) {
    for (long i = 0; i < count; i++) {
        double began = microseconds();
        struct worker worker = spawn_worker(program, library);
        while (hear(worker.socket, READY) == 0) {}
        samples[i] = microseconds() - began;
        stop(worker);
    }
    report("", samples, count);
    return 0;
}

static int measure_spawn(char *program, char *argument, int times, long count, double *samples) {
    char *arguments[] = {program, argument, NULL};
    for (long i = 0; i < count; i++) {
        double began = microseconds();
        for (int time = 0; time < times; time++) {
            pid_t pid;
            int status;
            if ((errno = posix_spawn(&pid, program, NULL, NULL, arguments, environ))) die(program);
            waitpid(pid, &status, 0);
            if (status != 0) {
                fprintf(stderr, "wire: %s %s failed\n", program, argument);
                return 1;
            }
        }
        samples[i] = microseconds() - began;
    }
    report("", samples, count);
    return 0;
}

static int measure_runs(const char *program, const char *library, long count, double *samples) {
    struct worker worker = spawn_worker(program, library);
    while (hear(worker.socket, READY) == 0) {}
    struct bytes frames = {0};
    size_t frame = begin(&frames, SETTINGS);
    put32(&frames, 1);
    text(&frames, "bench");
    text(&frames, "noop");
    text(&frames, "{}");
    end(&frames, frame);
    send_all(worker.socket, &frames);
    long number = 0;
    for (long i = -100; i < count; i++) { /* a hundred to get warm */
        frames.size = 0;
        run(&frames, ++number);
        double began = microseconds();
        send_all(worker.socket, &frames);
        while (hear(worker.socket, RESULT) == 0) {}
        if (i >= 0) samples[i] = microseconds() - began;
    }
    frames.size = 0;
    for (long i = 0; i < count; i++) run(&frames, ++number);
    double began = microseconds();
    size_t sent = 0;
    for (long results = 0; results < count;) {
        struct pollfd ready = {worker.socket, (short)(POLLIN | (sent < frames.size ? POLLOUT : 0)), 0};
        if (poll(&ready, 1, -1) < 0) die("poll");
        if (ready.revents & POLLOUT) {
            /* As the supervisor does it: several runs in each write. */
            size_t part = frames.size - sent < 32768 ? frames.size - sent : 32768;
            ssize_t written = send(worker.socket, frames.at + sent, part, MSG_DONTWAIT);
            if (written < 0 && errno != EAGAIN) die("the worker's socket");
            if (written > 0) sent += (size_t)written;
        }
        if (ready.revents & (POLLIN | POLLHUP)) results += hear(worker.socket, RESULT);
    }
    char more[64];
    snprintf(more, sizeof more, ", \"burst\": %.3f", (microseconds() - began) / (double)count);
    stop(worker);
    report(more, samples, count);
    return 0;
}

int main(int count, char **words) {
    if (count < 5) {
        fprintf(stderr, "usage: wire start|runs WORKER LIBRARY VERSION COUNT | wire spawn|twice PROGRAM ARGUMENT COUNT\n");
        return 2;
    }
    long wanted = atol(words[count - 1]);
    double *samples = calloc((size_t)wanted, sizeof *samples);
    if (wanted < 1 || !samples) die("COUNT");
    if (!strcmp(words[1], "spawn") || !strcmp(words[1], "twice"))
        return measure_spawn(words[2], words[3], words[1][0] == 't' ? 2 : 1, wanted, samples);
    version = (uint16_t)atoi(words[4]);
    return (strcmp(words[1], "start") ? measure_runs : measure_start)(words[2], words[3], wanted, samples);
}
