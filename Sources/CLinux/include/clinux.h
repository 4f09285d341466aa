// Thin shims over the Linux calls that Swift's Glibc module lacks or cannot import (packed
// structs, variadic functions, macros). Unless a comment says otherwise a function returns a
// value >= 0, or -errno; every descriptor it makes is close-on-exec.
#ifndef CLINUX_H
#define CLINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: names

/// "EMFILE" for 24; "" for a number that has no name. Static memory.
const char *cl_errno_name(int32_t code);
/// "SEGV" for 11; "" for a number that has no name. Static memory.
const char *cl_signal_name(int32_t signal);

// MARK: epoll

#define CL_READABLE 1u
#define CL_WRITABLE 2u
/// Error or hangup: always reported, asked for or not.
#define CL_HANGUP 4u

typedef struct {
    uint64_t token;
    /// CL_READABLE | CL_WRITABLE | CL_HANGUP
    uint32_t events;
} cl_event;

int32_t cl_epoll_create(void);
int32_t cl_epoll_add(int32_t epoll, int32_t fd, uint32_t events, uint64_t token);
int32_t cl_epoll_modify(int32_t epoll, int32_t fd, uint32_t events, uint64_t token);
int32_t cl_epoll_remove(int32_t epoll, int32_t fd);
/// Waits `timeout_ms` (-1: for ever, 0: not at all); an interruption by a signal counts as
/// no event. At most 64 events are written.
int32_t cl_epoll_wait(int32_t epoll, cl_event *events, int32_t capacity, int32_t timeout_ms);

// MARK: eventfd, timerfd

int32_t cl_eventfd(void);
/// Makes the eventfd readable. Async-signal-safe.
int32_t cl_eventfd_signal(int32_t fd);
/// Takes the count of an eventfd or timerfd, never blocking. -ECANCELED: the wall clock was set.
int64_t cl_counter_take(int32_t fd);
/// A timer on CLOCK_REALTIME (`wall`) or CLOCK_BOOTTIME.
int32_t cl_timerfd_create(bool wall);
/// Arms at an absolute time in microseconds of the timer's clock; <= 0 fires at once. A wall
/// timer also ends, with ECANCELED, when the clock is set.
int32_t cl_timerfd_arm(int32_t fd, bool wall, int64_t microseconds);

// MARK: processes

typedef struct {
    const char *path;
    char *const *argv;
    char *const *envp;
    const char *cwd;
    /// Become descriptors 3, 1 and 2 of the child. Numbers of 10 and above (see cl_channel).
    int32_t socket;
    int32_t out;
    int32_t err;
    /// Becomes descriptor 4, where it is 10 or above.
    int32_t slate;
} cl_spawn_plan;

/// Both ends of what a child talks over. `*_here` are non-blocking; all numbers are 10 or
/// above, so that none is overwritten while the child's 0…4 are put in place.
typedef struct {
    int32_t socket_here, socket_there;
    int32_t out_here, out_there;
    int32_t err_here, err_there;
} cl_channel;

/// Makes all six descriptors, or none.
int32_t cl_channel_open(cl_channel *channel);

/// Starts a child: own process group, every signal at its default, empty mask, stdin from
/// /dev/null, no other descriptor than 0…4. Its pidfd is opened before anything can reap it.
/// On an error no child is left.
int32_t cl_spawn(const cl_spawn_plan *plan, int32_t *pid, int32_t *pidfd);

int32_t cl_pidfd_open(int32_t pid);
int32_t cl_pidfd_signal(int32_t pidfd, int32_t signal);

typedef struct {
    /// Ended by a signal: `status` is its number, else the exit code.
    bool signalled;
    bool dumped_core;
    int32_t status;
    /// User and system time of the whole life, microseconds.
    int64_t cpu_us;
    /// Largest resident size, bytes.
    int64_t max_resident;
} cl_exit;

/// Reaps the child behind a pidfd if it has ended: 1 reaped, 0 still alive.
int32_t cl_reap_pidfd(int32_t pidfd, cl_exit *result);
/// Orphans below this process become its children.
int32_t cl_become_subreaper(void);
/// Back to SIG_DFL: an inherited SIG_IGN would have the kernel reap our children.
int32_t cl_default_sigchld(void);
/// Blocks every signal in the calling thread.
int32_t cl_block_signals(void);
int32_t cl_name_thread(const char *name);

// MARK: files

/// open(2) without variadics; O_CLOEXEC is added.
int32_t cl_open(const char *path, int32_t flags, uint32_t mode);

/// Whether an extended attribute of a file has exactly this value.
bool cl_attribute_is(const char *path, const char *name, const char *value);

// MARK: memory

/// memmem(3): whether the bytes contain the others. An empty side: false.
bool cl_contains(const void *bytes, size_t count, const void *part, size_t part_count);

/* Gives memory that is free and lies between used pieces back to the system (malloc_trim). Takes some milliseconds
   for each 100 MB; other threads may allocate meanwhile. */
void cl_release_memory(void);

#endif
