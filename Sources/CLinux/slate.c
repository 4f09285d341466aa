#define _GNU_SOURCE
#include "clinux_slate.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x326574616c73626a) /* "jbslate2" */

typedef struct {
    int64_t fence;
    /// ~fence, so that scribble is not taken for an attempt.
    int64_t check;
} entry;

struct cl_slate {
    uint64_t magic;
    uint64_t start_time;
    int32_t pid;
    char boot[CL_SLATE_BOOT];
    /// The attempt under way; 0: none; negative: closed by the supervisor.
    _Alignas(64) _Atomic int64_t gate;
    _Atomic uint64_t count;
    _Atomic int64_t passed;
    /// Of the supervisor: odd while it reads from a stream, and how much it has read.
    _Alignas(64) _Atomic uint64_t reads[2];
    _Atomic int64_t read[2];
    /// Of the supervisor: how often it has asked for runs back.
    _Atomic uint64_t asked_back;
    _Alignas(64) entry entries[CL_SLATE_ENTRIES];
    /// Bytes told so far. The byte at offset n of all that the worker ever writes is at n % CL_SLATE_UNSENT.
    _Alignas(64) _Atomic uint64_t told;
    uint8_t unsent[CL_SLATE_UNSENT];
};

/// A child that was forked off does not have the memory (MADV_DONTFORK); it may share the socket.
static _Atomic bool is_fork;
static void forked(void) { atomic_store(&is_fork, true); }

// MARK: making

int32_t cl_slate_create(const char *path) {
    int low = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (low < 0) return -errno;
    int fd = fcntl(low, F_DUPFD_CLOEXEC, 10);
    int problem = fd < 0 ? errno : posix_fallocate(fd, 0, sizeof(cl_slate));
    close(low);
    if (problem == 0) {
        uint64_t magic = MAGIC;
        if (pwrite(fd, &magic, sizeof magic, 0) == sizeof magic) return fd;
        problem = errno;
    }
    if (fd >= 0) close(fd);
    unlink(path);
    return -problem;
}

cl_slate *cl_slate_map(int32_t fd) {
    struct stat found;
    if (fstat(fd, &found) < 0) return NULL;
    if (found.st_size < (off_t)sizeof(cl_slate)) {
        errno = EINVAL;
        return NULL;
    }
    void *memory = mmap(NULL, sizeof(cl_slate), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) return NULL;
    madvise(memory, sizeof(cl_slate), MADV_DONTFORK);
    return memory;
}

void cl_slate_unmap(cl_slate *slate) {
    if (slate) munmap(slate, sizeof(cl_slate));
}

void cl_slate_sign(cl_slate *slate, int32_t pid, uint64_t start_time, const char *boot) {
    if (!slate) return;
    slate->pid = pid;
    slate->start_time = start_time;
    strncpy(slate->boot, boot, CL_SLATE_BOOT - 1);
}

// MARK: beginning and ending

void cl_slate_begin(cl_slate *slate, int64_t fence) {
    if (!slate) return;
    uint64_t count = atomic_load_explicit(&slate->count, memory_order_relaxed);
    entry *place = &slate->entries[count % CL_SLATE_ENTRIES];
    if (place->fence > atomic_load_explicit(&slate->passed, memory_order_relaxed)) {
        atomic_store_explicit(&slate->passed, place->fence, memory_order_release);
    }
    // Whoever looks in between finds an entry that is half written, at the place of the next.
    atomic_signal_fence(memory_order_seq_cst);
    place->fence = fence;
    place->check = ~fence;
    atomic_store_explicit(&slate->count, count + 1, memory_order_release);
    atomic_store_explicit(&slate->gate, fence, memory_order_release);
}

bool cl_slate_end(cl_slate *slate, int64_t fence) {
    if (!slate) return true;
    return atomic_compare_exchange_strong(&slate->gate, &fence, 0);
}

bool cl_slate_close(cl_slate *slate, int64_t fence) {
    if (!slate) return true;
    return atomic_compare_exchange_strong(&slate->gate, &fence, -fence);
}

// MARK: asking back

void cl_slate_ask_back(cl_slate *slate) {
    if (slate) atomic_fetch_add(&slate->asked_back, 1);
}

uint64_t cl_slate_asked_back(cl_slate *slate) { return slate ? atomic_load(&slate->asked_back) : 0; }

// MARK: output

void cl_slate_reading(cl_slate *slate, int32_t stream) {
    if (slate) atomic_fetch_add(&slate->reads[stream], 1);
}

void cl_slate_read(cl_slate *slate, int32_t stream, int64_t count) {
    if (!slate) return;
    if (count > 0) atomic_fetch_add(&slate->read[stream], count);
    atomic_fetch_add(&slate->reads[stream], 1);
}

int64_t cl_slate_written(cl_slate *slate, int32_t stream, int32_t fd) {
    if (!slate || fd < 0) return -1;
    // What has been read and what is left, without a read in between.
    for (int tries = 0; tries < 10000; tries++) {
        uint64_t before = atomic_load(&slate->reads[stream]);
        if (before % 2 == 0) {
            int64_t read = atomic_load(&slate->read[stream]);
            int left = 0;
            if (ioctl(fd, FIONREAD, &left) < 0) return -1;
            if (atomic_load(&slate->reads[stream]) == before) return read + left;
        }
        // The supervisor is about to be done with it.
        sched_yield();
    }
    return -1;
}

// MARK: the socket

void cl_slate_watch_forks(void) { pthread_atfork(NULL, NULL, forked); }

bool cl_slate_is_fork(void) { return atomic_load_explicit(&is_fork, memory_order_relaxed); }

void cl_slate_tell(cl_slate *slate, const uint8_t *bytes, size_t count) {
    if (!slate || count > CL_SLATE_UNSENT) return;
    uint64_t told = atomic_load_explicit(&slate->told, memory_order_relaxed);
    size_t place = told % CL_SLATE_UNSENT, straight = CL_SLATE_UNSENT - place;
    if (straight > count) straight = count;
    memcpy(slate->unsent + place, bytes, straight);
    memcpy(slate->unsent, bytes + straight, count - straight);
    atomic_store_explicit(&slate->told, told + count, memory_order_release);
}

void cl_slate_told(cl_slate *slate, size_t count) {
    if (slate) atomic_fetch_add(&slate->told, count);
}

size_t cl_slate_unsent(cl_slate *slate, uint64_t received, uint8_t *bytes) {
    if (!slate) return 0;
    uint64_t told = atomic_load(&slate->told);
    if (received >= told || told - received > CL_SLATE_UNSENT) return 0;
    size_t count = told - received, place = received % CL_SLATE_UNSENT, straight = CL_SLATE_UNSENT - place;
    if (straight > count) straight = count;
    memcpy(bytes, slate->unsent + place, straight);
    memcpy(bytes + straight, slate->unsent, count - straight);
    return count;
}

void cl_slate_forget_unsent(cl_slate *slate) {
    if (slate) memset(slate->unsent, 0, CL_SLATE_UNSENT);
}

int64_t cl_slate_under_way(cl_slate *slate) {
    int64_t gate = slate ? atomic_load(&slate->gate) : 0;
    return gate > 0 ? gate : 0;
}

bool cl_slate_has_begun(cl_slate *slate, int64_t fence) {
    if (!slate) return false;
    for (size_t i = 0; i < CL_SLATE_ENTRIES; i++) {
        if (slate->entries[i].fence == fence) return true;
    }
    return false;
}

// MARK: after a crash

bool cl_slate_look(const char *path, cl_slate_content *content, int64_t *begun) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return false;
    cl_slate slate;
    ssize_t size = pread(fd, &slate, sizeof slate, 0);
    close(fd);
    if (size != sizeof slate || slate.magic != MAGIC) return false;
    memset(content, 0, sizeof *content);
    content->pid = slate.pid;
    content->start_time = slate.start_time;
    memcpy(content->boot, slate.boot, CL_SLATE_BOOT - 1);
    content->passed = slate.passed;
    uint64_t count = slate.count;
    for (uint64_t i = 0; i < CL_SLATE_ENTRIES; i++) {
        entry found = slate.entries[i];
        if (found.fence == 0 && found.check == 0) {
            if (i < count) return false;
            continue;
        }
        bool isNext = i == count % CL_SLATE_ENTRIES;
        if (found.check != ~found.fence && !isNext) return false;
        if (i > count) return false;
        if (found.fence > 0) begun[content->count++] = found.fence;
    }
    return true;
}
