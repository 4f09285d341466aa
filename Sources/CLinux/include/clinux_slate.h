// A slate: some pages of memory, backed by a file, that a worker and its supervisor share.
// The worker says on it which attempt it begins, before it begins it, so that this is known
// also after both were killed; either side settles by one atomic step whether an attempt has
// ended or is to be killed; the supervisor says how much of the worker's output it has read; and
// what the worker is going to tell it next, and has not written to their socket yet, survives it.
//
// Functions that take a slate accept NULL and then do nothing.
#ifndef CLINUX_SLATE_H
#define CLINUX_SLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cl_slate cl_slate;

/// Attempts whose beginning is remembered one by one; of older ones the largest fence is.
#define CL_SLATE_ENTRIES 1024
/// Bytes that the worker may have told and not written yet.
#define CL_SLATE_UNSENT (32 << 10)
/// Bytes of the boot id, its end included.
#define CL_SLATE_BOOT 48

/// Makes a new, empty slate in a file (which must not be there), its room on the disk taken, so
/// that no store into it can fail. The descriptor, 10 or above, or -errno.
int32_t cl_slate_create(const char *path);
/// Maps it; children of this process do not have it. NULL: errno has the reason.
cl_slate *cl_slate_map(int32_t fd);
void cl_slate_unmap(cl_slate *slate);

/// Whose it is. By the supervisor, before the worker is sent anything.
void cl_slate_sign(cl_slate *slate, int32_t pid, uint64_t start_time, const char *boot);

// MARK: the worker

/// This attempt begins now. Fences are positive and name one attempt of the whole store.
void cl_slate_begin(cl_slate *slate, int64_t fence);
/// How many frames the supervisor has announced that ask for runs back: what the worker keeps for a later instant does
/// not begin before it has heard all of them. 0 without a slate.
uint64_t cl_slate_asked_back(cl_slate *slate);
/// This attempt has ended. false: the supervisor has closed it before, and kills this process.
bool cl_slate_end(cl_slate *slate, int64_t fence);
/// Bytes that have been written to stream 0 (stdout) or 1 (stderr), whose pipe `fd` is an end
/// of, since it was made. -1: cannot be told.
int64_t cl_slate_written(cl_slate *slate, int32_t stream, int32_t fd);

/// The next `count` bytes of all that this worker writes to its socket, before it does; whoever
/// calls has written all but CL_SLATE_UNSENT - `count` of those before. Nothing else of that
/// worker may do so meanwhile.
void cl_slate_tell(cl_slate *slate, const uint8_t *bytes, size_t count);
/// From now on `cl_slate_is_fork` says whether this process was forked off the one that called this: it does not
/// have that one's slate, and what waits to be told is that one's.
void cl_slate_watch_forks(void);
bool cl_slate_is_fork(void);
/// As many have been written that were too long to be told.
void cl_slate_told(cl_slate *slate, size_t count);

// MARK: the supervisor

/// What the worker, which is gone, had told and not written: all after the first `received` bytes.
/// `bytes` has room for CL_SLATE_UNSENT. How many there are; 0 also where more have been received than told.
size_t cl_slate_unsent(cl_slate *slate, uint64_t received, uint8_t *bytes);
/// A frame follows that asks for a run back, or for all.
void cl_slate_ask_back(cl_slate *slate);
/// What the worker had told is nobody's concern any more.
void cl_slate_forget_unsent(cl_slate *slate);
/// The fence of the attempt under way; 0: none is, or it has been closed.
int64_t cl_slate_under_way(cl_slate *slate);
/// Whether this attempt is among the last CL_SLATE_ENTRIES that began.
bool cl_slate_has_begun(cl_slate *slate, int64_t fence);
/// Closes an attempt that is to be killed. false: it is not under way (any more).
bool cl_slate_close(cl_slate *slate, int64_t fence);
/// Around every read of the worker's output.
void cl_slate_reading(cl_slate *slate, int32_t stream);
void cl_slate_read(cl_slate *slate, int32_t stream, int64_t count);

/// What is found on a slate after a crash.
typedef struct {
    int32_t pid;
    uint64_t start_time;
    char boot[CL_SLATE_BOOT];
    /// How many attempts are in `begun`.
    int32_t count;
    /// Of those that began and are not in `begun` any more: none has a larger fence.
    int64_t passed;
} cl_slate_content;

/// `begun` has room for CL_SLATE_ENTRIES fences; they come in no order. false: not a slate, or
/// its writer scribbled over it.
bool cl_slate_look(const char *path, cl_slate_content *content, int64_t *begun);

#endif
