/*
 * The floor that `make bench` measures beside the host: the same work in plain C, with no
 * isolation, no ledger and no reload.
 *
 *   floor lateness N SECONDS    N callbacks due at each full second, from one timerfd
 *   floor pingpong COUNT        messages of 64 bytes to another process and back, one at a time
 *   floor pipelined COUNT       … as many as fit into a write
 *
 * Prints one line of JSON; times in microseconds.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void report(int64_t *samples, size_t count) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
    qsort(samples, count, sizeof *samples, ascending);
    printf("{\"count\": %zu, \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f, \"cpu\": %.3f}\n", count, samples[count / 2] / 1e3,
           samples[count * 99 / 100] / 1e3, samples[count - 1] / 1e3, cpu / (double)count);
}

static volatile uint64_t executed;
__attribute__((noinline)) static void callback(void *job) { executed += (uintptr_t)job & 1; }

static int lateness(long jobs, long seconds) {
    int timer = timerfd_create(CLOCK_REALTIME, 0);
    int64_t *samples = malloc(sizeof *samples * (size_t)(jobs * seconds));
    if (timer < 0 || !samples) return 1;
    int64_t due = (now_ns(CLOCK_REALTIME) / 1000000000 + 1) * 1000000000;
    size_t count = 0;
    for (long s = 0; s < seconds; s++, due += 1000000000) {
        struct itimerspec at = {.it_value = {.tv_sec = due / 1000000000}};
        uint64_t fired;
        timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        if (read(timer, &fired, sizeof fired) != sizeof fired) return 1;
        for (long job = 0; job < jobs; job++) {
            samples[count++] = now_ns(CLOCK_REALTIME) - due;
            callback((void *)(intptr_t)job);
        }
    }
    report(samples, count);
    free(samples);
    return 0;
}

static int pingpong(long count) {
    int ends[2];
    char message[64] = {0};
    int64_t *samples = malloc(sizeof *samples * (size_t)count);
    if (!samples || socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return 1;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        while (read(ends[1], message, sizeof message) == sizeof message)
            if (write(ends[1], message, sizeof message) != sizeof message) break;
        _exit(0);
    }
    close(ends[1]);
    for (long i = 0; i < count; i++) {
        int64_t start = now_ns(CLOCK_MONOTONIC);
        if (write(ends[0], message, sizeof message) != sizeof message) return 1;
        if (read(ends[0], message, sizeof message) != sizeof message) return 1;
        samples[i] = now_ns(CLOCK_MONOTONIC) - start;
    }
    close(ends[0]);
    waitpid(child, NULL, 0);
    report(samples, (size_t)count);
    free(samples);
    return 0;
}

static int pipelined(long count) {
    static char out[32768], in[65536];
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return 1;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        for (ssize_t size; (size = read(ends[1], in, sizeof in)) > 0;)
            for (ssize_t done = 0, more; done < size; done += more)
                if ((more = write(ends[1], in + done, (size_t)(size - done))) <= 0) _exit(1);
        _exit(0);
    }
    close(ends[1]);
    int64_t start = now_ns(CLOCK_MONOTONIC);
    for (long to_send = count * 64, to_hear = to_send; to_hear > 0;) {
        struct pollfd ready = {ends[0], (short)(POLLIN | (to_send > 0 ? POLLOUT : 0)), 0};
        if (poll(&ready, 1, -1) < 0) return 1;
        if (ready.revents & POLLOUT) {
            ssize_t sent = send(ends[0], out, to_send < (long)sizeof out ? (size_t)to_send : sizeof out, MSG_DONTWAIT);
            if (sent > 0) to_send -= sent;
        }
        if (ready.revents & POLLIN) to_hear -= read(ends[0], in, sizeof in);
    }
    printf("{\"each\": %.3f}\n", (double)(now_ns(CLOCK_MONOTONIC) - start) / 1e3 / (double)count);
    close(ends[0]);
    waitpid(child, NULL, 0);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "lateness")) return lateness(atol(argv[2]), atol(argv[3]));
    if (argc == 3 && !strcmp(argv[1], "pingpong")) return pingpong(atol(argv[2]));
    if (argc == 3 && !strcmp(argv[1], "pipelined")) return pipelined(atol(argv[2]));
    fprintf(stderr, "usage: floor lateness N SECONDS | floor pingpong|pipelined COUNT\n");
    return 2;
}
