/* A wall clock for one program that a test sets, by LD_PRELOAD: CLOCK_REALTIME reads so many seconds more
   as the eight bytes at the beginning of the file CLOCK_SHIFT say, and timers that asked to hear of a
   change do. Tests/EndToEnd/ClockShift.swift says why it is not libfaketime. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
static volatile int64_t *shift;
static int64_t nothing;
/* The wall timers, by descriptor: armed with what, and cancelled by which change. */
enum { MOST = 4096 };
static struct { char isWall, watches, cancelled; struct itimerspec wanted; } timers[MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int arm(int fd) {
    struct itimerspec real = timers[fd].wanted;
    if (real.it_value.tv_sec || real.it_value.tv_nsec) real.it_value.tv_sec -= *shift;
    if (real.it_value.tv_sec < 0) real.it_value = (struct timespec){0, 1};
    return syscall(SYS_timerfd_settime, fd, TFD_TIMER_ABSTIME, &real, NULL);
}
/* The kernel's part: whoever asked for it hears that the clock was set. */
static void *watch(void *unused) {
    int64_t seen = *shift;
    for (;;) {
        usleep(20000);
        if (*shift == seen) continue;
        seen = *shift;
        pthread_mutex_lock(&lock);
        for (int fd = 0; fd < MOST; fd++) {
            if (!timers[fd].isWall || !(timers[fd].wanted.it_value.tv_sec || timers[fd].wanted.it_value.tv_nsec)) continue;
            if (timers[fd].watches) {
                timers[fd].cancelled = 1;
                struct itimerspec now = {{0, 0}, {0, 1}};
                syscall(SYS_timerfd_settime, fd, TFD_TIMER_ABSTIME, &now, NULL);
            } else arm(fd);
        }
        pthread_mutex_unlock(&lock);
    }
    return unused;
}
__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_SHIFT");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *memory = file < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    shift = memory == MAP_FAILED ? &nothing : memory;
    if (file >= 0) close(file);
    pthread_t thread;
    pthread_create(&thread, NULL, watch, NULL);
    pthread_detach(thread);
}
int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (result == 0 && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *shift;
    return result;
}
int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}
time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
int timerfd_create(int clock, int flags) {
    int fd = (int)syscall(SYS_timerfd_create, clock, flags);
    if (fd >= 0 && fd < MOST) timers[fd].isWall = clock == CLOCK_REALTIME;
    return fd;
}
int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old) {
    if (fd < 0 || fd >= MOST || !timers[fd].isWall || !(flags & TFD_TIMER_ABSTIME)) return (int)syscall(SYS_timerfd_settime, fd, flags, value, old);
    pthread_mutex_lock(&lock);
    timers[fd].wanted = *value;
    timers[fd].watches = (flags & TFD_TIMER_CANCEL_ON_SET) != 0;
    int result = arm(fd);
    pthread_mutex_unlock(&lock);
    return result;
}
ssize_t read(int fd, void *bytes, size_t size) {
    if (fd >= 0 && fd < MOST && timers[fd].isWall && timers[fd].cancelled) {
        timers[fd].cancelled = 0;
        uint64_t count;
        syscall(SYS_read, fd, &count, sizeof count);
        errno = ECANCELED;
        return -1;
    }
    return syscall(SYS_read, fd, bytes, size);
}
