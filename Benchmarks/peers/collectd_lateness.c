/* A plugin for collectd: COUNT readings each second (the environment says how many, and where to write).
   Each writes its instant, microseconds since 1970, into a file that is mapped. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* What collectd exports (src/daemon/plugin.h). */
typedef struct {
    void *data;
    void (*free_func)(void *);
} user_data_t;
int plugin_register_complex_read(const char *group, const char *name, int (*callback)(user_data_t *), uint64_t interval, const user_data_t *data);

static _Atomic int64_t *cells;
static int64_t room;

static int reading(user_data_t *data) {
    (void)data;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t place = atomic_fetch_add(&cells[0], 1) + 1;
    if (place < room) cells[place] = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    return 0;
}

void module_register(void) {
    long count = atol(getenv("BENCH_COUNT"));
    room = count * 60;
    int file = open(getenv("BENCH_FILE"), O_RDWR | O_CREAT, 0644);
    if (file < 0 || ftruncate(file, room * (off_t)sizeof *cells)) exit(1);
    cells = mmap(NULL, (size_t)room * sizeof *cells, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (cells == MAP_FAILED) exit(1);
    for (long i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "bench/%ld", i);
        plugin_register_complex_read(NULL, name, reading, (uint64_t)1 << 30, NULL);
    }
}
