#define _GNU_SOURCE
#include "clinux_worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int clw_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int clw_no_new_privs(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

int clw_dup_above(int fd, int minimum) { return fcntl(fd, F_DUPFD_CLOEXEC, minimum); }

int clw_is_stream_socket(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

int clw_event_above(int minimum) {
    int low = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (low < 0) return -1;
    int high = fcntl(low, F_DUPFD_CLOEXEC, minimum);
    int reason = errno;
    close(low);
    errno = reason;
    return high;
}

int clw_set_limit(int which, uint64_t value) {
    struct rlimit limit = {.rlim_cur = (rlim_t)value, .rlim_max = (rlim_t)value};
    switch (which) {
    case CLW_LIMIT_DATA: return setrlimit(RLIMIT_DATA, &limit);
    case CLW_LIMIT_FILES: return setrlimit(RLIMIT_NOFILE, &limit);
    case CLW_LIMIT_CORE: return setrlimit(RLIMIT_CORE, &limit);
    default: errno = EINVAL; return -1;
    }
}

bool clw_wait_for(sem_t *semaphore, int64_t microseconds) {
    if (microseconds <= 0) return sem_trywait(semaphore) == 0;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += microseconds / 1000000;
    until.tv_nsec += microseconds % 1000000 * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    /* Of this thread, and for this wait alone: what the plugin waits for, or starts, is its own choice. */
    int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    bool posted = sem_clockwait(semaphore, CLOCK_MONOTONIC, &until) == 0;
    prctl(PR_SET_TIMERSLACK, slack > 0 ? (unsigned long)slack : 0UL, 0, 0, 0);
    return posted;
}

void clw_line_buffered_output(void) { setvbuf(stdout, NULL, _IOLBF, BUFSIZ); }

void clw_flush_output(void) { fflush(stdout); }

int clw_become_user(const char *name) {
    errno = 0;
    struct passwd *user = getpwnam(name);
    if (!user) {
        /* What getpwnam(3) may leave there for a name that is not found. */
        if (!errno || errno == ESRCH || errno == EBADF || errno == EPERM) errno = ENOENT;
        return -1;
    }
    if (getuid() == user->pw_uid && geteuid() == user->pw_uid && user->pw_uid != 0) return 0;
    if (initgroups(name, user->pw_gid) != 0) return -1;
    if (setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0) return -1;
    if (setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0) return -1;
    /* Trust, but verify: there is no way back to root. */
    if (user->pw_uid != 0 && setuid(0) == 0) {
        errno = EPERM;
        return -1;
    }
    return 0;
}

int clw_join_group(const char *path) {
    char file[PATH_MAX];
    if (snprintf(file, sizeof file, "%s/cgroup.procs", path) >= (int)sizeof file) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int procs = open(file, O_WRONLY | O_CLOEXEC);
    if (procs < 0) return -1;
    ssize_t written = write(procs, "0", 1);
    int problem = errno;
    close(procs);
    errno = problem;
    return written == 1 ? 0 : -1;
}

/* Kept for the end of the process, when the plugin may have used up all others: /proc, and one to make room for another,
 * below whatever limit there will be. */
static int process_folder = -1, spare = -1;
static dev_t process_device;

int clw_keep_descriptors(int minimum) {
    struct stat found;
    spare = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (spare < 0 || fstat(spare, &found) != 0) return -1;
    process_device = found.st_dev;
    process_folder = fcntl(spare, F_DUPFD_CLOEXEC, minimum);
    return process_folder < 0 ? -1 : 0;
}

/* It may be the plugin's by now. */
static bool is_still_ours(int descriptor) {
    struct stat found;
    return descriptor >= 0 && fstat(descriptor, &found) == 0 && S_ISDIR(found.st_mode) && found.st_dev == process_device;
}

/* Where there is no descriptor left, in place of the spare one; where another thread is quicker, of the process's input
 * and output. */
static int open_at_the_end(const char *path, int flags) {
    int file = open(path, flags);
    if (file < 0 && (errno == EMFILE || errno == ENFILE) && is_still_ours(spare)) {
        close(spare);
        spare = -1;
        file = open(path, flags);
    }
    for (int number = 0; file < 0 && (errno == EMFILE || errno == ENFILE) && number <= 2; number++) {
        close(number);
        file = open(path, flags);
    }
    return file;
}

/* The parent of a process that lives, or -1. */
static pid_t living_parent(pid_t pid) {
    char path[32], stat[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int file = open_at_the_end(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t size = read(file, stat, sizeof stat - 1);
    close(file);
    if (size <= 0) return -1;
    stat[size] = 0;
    /* The command's name, before it, may hold anything. */
    const char *state = strrchr(stat, ')');
    if (!state || strlen(state) < 4 || state[2] == 'Z' || state[2] == 'X') return -1;
    return (pid_t)strtol(state + 3, NULL, 10);
}

/* How many there were. getdents itself: opendir() takes memory. */
static int kill_children(void) {
    int folder = process_folder;
    if (!is_still_ours(folder) || lseek(folder, 0, SEEK_SET) != 0) folder = open_at_the_end("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return 0;
    int found = 0;
    _Alignas(struct dirent64) char buffer[8192];
    long size;
    while ((size = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < size;) {
            const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);
            at += entry->d_reclen;
            pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
            if (pid <= 1 || living_parent(pid) != getpid()) continue;
            found++;
            kill(pid, SIGKILL);
        }
    }
    if (folder != process_folder) close(folder);
    return found;
}

void clw_kill_descendants(void) {
    for (int round = 0; round < 500 && kill_children() > 0; round++) poll(NULL, 0, 2);
}
