// What the worker needs of Linux that Swift cannot call: variadic functions, C's streams.
// Functions return 0 or a descriptor, or -1 with errno set.
#ifndef CLINUX_WORKER_H
#define CLINUX_WORKER_H

#include <stdbool.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>

/// Orphaned grandchildren become this process's children instead of init's.
int clw_become_subreaper(void);
/// No exec in this process or below gains privileges. Cannot be undone.
int clw_no_new_privs(void);
/// Becomes that user, with its groups, for good. Needs to be root, unless it is that user
/// already. ENOENT: there is no such user.
int clw_become_user(const char *name);
/// Moves this process into the control group whose folder that is.
int clw_join_group(const char *path);
// MARK: sandbox. For this process and all that it starts; nothing undoes it. Before there is a second thread,
// and after clw_no_new_privs, without which only root may.

/// Which Landlock the kernel has, from 1; negative: none, with errno.
int clw_landlock_version(void);
/// `files`: nothing but these files and folders, and those that every program needs, can be
/// opened, made, renamed or removed any more. In any case signals reach only processes in the
/// same sandbox, where the kernel can (Landlock 6). `*culprit`: the path that made it fail, or NULL.
int clw_confine(
    bool files, const char *const *read, size_t read_count, const char *const *write, size_t write_count, const char **culprit);
/// System calls that reach beyond the process (tracing, mounting, namespaces, kernel code, the
/// clock, io_uring …) fail with EPERM; without `network` sockets other than Unix ones too.
int clw_filter_calls(bool network);
/// Adds to the niceness, up to 19.
int clw_lower_priority(int by);

/// Duplicates `fd` to the lowest free number >= `minimum`, close-on-exec.
int clw_dup_above(int fd, int minimum);
/// Whether `fd` is a stream socket: 1 or 0.
int clw_is_stream_socket(int fd);
/// A non-blocking, close-on-exec event counter on the lowest free number >= `minimum`.
int clw_event_above(int minimum);
/// Before anything of the plugin runs: keeps two descriptors for clw_kill_descendants, the lowest free one
/// and the lowest >= `minimum`.
int clw_keep_descriptors(int minimum);
/// Kills every process below this one, which has to be their subreaper: orphans come to it and
/// are killed in the next round, for a second at most. Needs no memory and no lock that another
/// thread may hold.
void clw_kill_descendants(void);

#define CLW_LIMIT_DATA 1
#define CLW_LIMIT_FILES 2
#define CLW_LIMIT_CORE 3
/// Sets soft and hard limit of this process.
int clw_set_limit(int which, uint64_t value);

/// C's stdout, a pipe here, hands on every line as soon as it is complete. stderr stays
/// unbuffered: the last words before a crash may lack the newline.
void clw_line_buffered_output(void);
/// Waits for the semaphore until so many microseconds from now, to the microsecond instead of the 50 that the system
/// takes by itself. false: the time is over, or a signal came.
bool clw_wait_for(sem_t *semaphore, int64_t microseconds);

/// Writes out what C's stdout still holds.
void clw_flush_output(void);

#endif
