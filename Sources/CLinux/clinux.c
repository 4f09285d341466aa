#define _GNU_SOURCE
#include "clinux.h"

#include <malloc.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

// The headers of the oldest supported systems lack these.
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

static int32_t outcome(long result) { return result < 0 ? -errno : (int32_t)result; }

const char *cl_errno_name(int32_t code) {
    const char *name = strerrorname_np(code);
    return name ? name : "";
}

const char *cl_signal_name(int32_t signal) {
    const char *name = sigabbrev_np(signal);
    return name ? name : "";
}

// MARK: epoll

static struct epoll_event wanted(uint32_t events, uint64_t token) {
    struct epoll_event event = {0};
    if (events & CL_READABLE) event.events |= EPOLLIN | EPOLLRDHUP;
    if (events & CL_WRITABLE) event.events |= EPOLLOUT;
    event.data.u64 = token;
    return event;
}

int32_t cl_epoll_create(void) { return outcome(epoll_create1(EPOLL_CLOEXEC)); }

int32_t cl_epoll_add(int32_t epoll, int32_t fd, uint32_t events, uint64_t token) {
    struct epoll_event event = wanted(events, token);
    return outcome(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

int32_t cl_epoll_modify(int32_t epoll, int32_t fd, uint32_t events, uint64_t token) {
    struct epoll_event event = wanted(events, token);
    return outcome(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
}

int32_t cl_epoll_remove(int32_t epoll, int32_t fd) {
    return outcome(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL));
}

int32_t cl_epoll_wait(int32_t epoll, cl_event *events, int32_t capacity, int32_t timeout_ms) {
    struct epoll_event raw[64];
    if (capacity > 64) capacity = 64;
    int count = epoll_wait(epoll, raw, capacity, timeout_ms);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        uint32_t seen = 0;
        if (raw[i].events & EPOLLIN) seen |= CL_READABLE;
        if (raw[i].events & EPOLLOUT) seen |= CL_WRITABLE;
        if (raw[i].events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) seen |= CL_HANGUP;
        events[i].token = raw[i].data.u64;
        events[i].events = seen;
    }
    return count;
}

// MARK: eventfd, timerfd

int32_t cl_eventfd(void) { return outcome(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int32_t cl_eventfd_signal(int32_t fd) {
    uint64_t one = 1;
    // EAGAIN: the counter is full, so it is readable already.
    if (write(fd, &one, sizeof one) < 0 && errno != EAGAIN) return -errno;
    return 0;
}

int64_t cl_counter_take(int32_t fd) {
    uint64_t count = 0;
    if (read(fd, &count, sizeof count) < 0) return errno == EAGAIN ? 0 : -errno;
    return count > INT64_MAX ? INT64_MAX : (int64_t)count;
}

int32_t cl_timerfd_create(bool wall) {
    return outcome(timerfd_create(wall ? CLOCK_REALTIME : CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
}

int32_t cl_timerfd_arm(int32_t fd, bool wall, int64_t microseconds) {
    if (microseconds < 1) microseconds = 1; // zero would disarm
    struct itimerspec spec = {0};
    spec.it_value.tv_sec = microseconds / 1000000;
    spec.it_value.tv_nsec = (microseconds % 1000000) * 1000;
    int flags = TFD_TIMER_ABSTIME | (wall ? TFD_TIMER_CANCEL_ON_SET : 0);
    return outcome(timerfd_settime(fd, flags, &spec, NULL));
}

// MARK: processes

/// Moves a descriptor to a number of 10 or above.
static int32_t lift(int32_t fd) {
    if (fd < 0 || fd >= 10) return fd;
    int32_t higher = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    int32_t problem = errno;
    close(fd);
    errno = problem;
    return higher;
}

static int lift_pair(int32_t pair[2]) {
    pair[0] = lift(pair[0]);
    if (pair[0] < 0) {
        int problem = errno;
        close(pair[1]);
        errno = problem;
        return -1;
    }
    pair[1] = lift(pair[1]);
    if (pair[1] < 0) {
        int problem = errno;
        close(pair[0]);
        errno = problem;
        return -1;
    }
    return 0;
}

static void make_nonblocking(int32_t fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int32_t cl_channel_open(cl_channel *channel) {
    int32_t wire[2], out[2], err[2];
    int32_t problem;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire) < 0 || lift_pair(wire) < 0) return -errno;
    if (pipe2(out, O_CLOEXEC) < 0 || lift_pair(out) < 0) {
        problem = errno;
        goto close_wire;
    }
    if (pipe2(err, O_CLOEXEC) < 0 || lift_pair(err) < 0) {
        problem = errno;
        goto close_out;
    }
    make_nonblocking(wire[0]);
    make_nonblocking(out[0]);
    make_nonblocking(err[0]);
    *channel = (cl_channel){wire[0], wire[1], out[0], out[1], err[0], err[1]};
    return 0;
close_out:
    close(out[0]);
    close(out[1]);
close_wire:
    close(wire[0]);
    close(wire[1]);
    return -problem;
}

/// 0 or an errno, as posix_spawn's own functions return it.
static int spawn_prepared(
    const cl_spawn_plan *plan, posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes, pid_t *pid
) {
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int problem;
    short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    if ((problem = posix_spawnattr_setflags(attributes, flags))) return problem;
    if ((problem = posix_spawnattr_setpgroup(attributes, 0))) return problem;
    if ((problem = posix_spawnattr_setsigdefault(attributes, &all))) return problem;
    if ((problem = posix_spawnattr_setsigmask(attributes, &none))) return problem;
    if ((problem = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0))) return problem;
    if ((problem = posix_spawn_file_actions_adddup2(files, plan->out, 1))) return problem;
    if ((problem = posix_spawn_file_actions_adddup2(files, plan->err, 2))) return problem;
    if ((problem = posix_spawn_file_actions_adddup2(files, plan->socket, 3))) return problem;
    bool has_slate = plan->slate >= 10;
    if (has_slate && (problem = posix_spawn_file_actions_adddup2(files, plan->slate, 4))) return problem;
    if ((problem = posix_spawn_file_actions_addclosefrom_np(files, has_slate ? 5 : 4))) return problem;
    if ((problem = posix_spawn_file_actions_addchdir_np(files, plan->cwd))) return problem;
    return posix_spawn(pid, plan->path, files, attributes, plan->argv, plan->envp);
}

int32_t cl_spawn(const cl_spawn_plan *plan, int32_t *pid, int32_t *pidfd) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int problem;
    pid_t child = -1;
    if ((problem = posix_spawn_file_actions_init(&files))) return -problem;
    if ((problem = posix_spawnattr_init(&attributes))) {
        posix_spawn_file_actions_destroy(&files);
        return -problem;
    }
    problem = spawn_prepared(plan, &files, &attributes, &child);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (problem) return -problem;

    int32_t handle = cl_pidfd_open(child);
    if (handle < 0) {
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
        return handle;
    }
    *pid = child;
    *pidfd = handle;
    return 0;
}

int32_t cl_pidfd_open(int32_t pid) { return outcome(syscall(SYS_pidfd_open, pid, 0)); }

int32_t cl_pidfd_signal(int32_t pidfd, int32_t signal) {
    return outcome(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int32_t cl_reap_pidfd(int32_t pidfd, cl_exit *result) {
    siginfo_t info = {0};
    struct rusage usage = {0};
    // The bare system call: only it hands over the usage of a child named by a pidfd.
    if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG, &usage) < 0) return -errno;
    if (info.si_pid == 0) return 0;
    result->signalled = info.si_code != CLD_EXITED;
    result->dumped_core = info.si_code == CLD_DUMPED;
    result->status = info.si_status;
    result->cpu_us = (int64_t)usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec
        + (int64_t)usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
    result->max_resident = (int64_t)usage.ru_maxrss * 1024;
    return 1;
}

int32_t cl_become_subreaper(void) { return outcome(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)); }

int32_t cl_default_sigchld(void) {
    struct sigaction current;
    if (sigaction(SIGCHLD, NULL, &current) < 0) return -errno;
    // A handler of somebody else's is left alone; only what makes the kernel reap is undone.
    if (current.sa_handler != SIG_IGN && !(current.sa_flags & SA_NOCLDWAIT)) return 0;
    struct sigaction plain = {0};
    plain.sa_handler = SIG_DFL;
    return outcome(sigaction(SIGCHLD, &plain, NULL));
}

int32_t cl_block_signals(void) {
    sigset_t all;
    sigfillset(&all);
    return -pthread_sigmask(SIG_SETMASK, &all, NULL);
}

int32_t cl_name_thread(const char *name) { return -pthread_setname_np(pthread_self(), name); }

// MARK: files

int32_t cl_open(const char *path, int32_t flags, uint32_t mode) {
    return outcome(open(path, flags | O_CLOEXEC, (mode_t)mode));
}

// MARK: memory

bool cl_attribute_is(const char *path, const char *name, const char *value) {
    char found[64];
    ssize_t size = getxattr(path, name, found, sizeof found);
    return size >= 0 && (size_t)size == strlen(value) && memcmp(found, value, (size_t)size) == 0;
}

bool cl_contains(const void *bytes, size_t count, const void *part, size_t part_count) {
    return count > 0 && part_count > 0 && memmem(bytes, count, part, part_count) != NULL;
}

void cl_release_memory(void) { malloc_trim(0); }
