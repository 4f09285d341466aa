// libpq for Swift, loaded when the first connection is asked for and not before.
//
// The library brings TLS, Kerberos and LDAP with it: milliseconds and megabytes that a host or a
// plugin on SQLite must not pay, and a package that it must not need. So nothing here is linked;
// `cpg_load` opens libpq.so.5, and every other function calls into it.
//
// Unless a comment says otherwise: `cpg_load` has succeeded; a connection is used by one thread at
// a time; texts that come back belong to the object that they were asked of.
#ifndef CPOSTGRES_H
#define CPOSTGRES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct cpg_connection cpg_connection;
typedef struct cpg_result cpg_result;

/// Opens libpq once a process; later calls give the first answer. NULL: it is there. Otherwise why
/// it is not, a static text. Callable from any thread.
const char *cpg_load(void);

/// As libpq numbers them; checked against its header when this is compiled.
enum { CPG_EMPTY = 0, CPG_COMMAND = 1, CPG_TUPLES = 2 };
enum { CPG_TRANSACTION_IDLE = 0, CPG_TRANSACTION_ACTIVE = 1, CPG_TRANSACTION_OPEN = 2, CPG_TRANSACTION_FAILED = 3,
       CPG_TRANSACTION_UNKNOWN = 4 };

/// Connects; blocks for at most libpq's connect_timeout. `keywords` and `values` end with NULL; a
/// later one wins over an earlier one, and a "dbname" that is a URL counts at its place. Never
/// NULL unless memory is out: ask `cpg_is_open`.
cpg_connection *cpg_connect(const char *const *keywords, const char *const *values);
/// NULL is allowed.
void cpg_close(cpg_connection *connection);
bool cpg_is_open(const cpg_connection *connection);
/// What went wrong last; "" when nothing did.
const char *cpg_error(const cpg_connection *connection);
int cpg_transaction(const cpg_connection *connection);
/// As 150018 for 15.18; 0: not connected.
int cpg_server_version(const cpg_connection *connection);
int cpg_backend_pid(const cpg_connection *connection);
const char *cpg_host(const cpg_connection *connection);
const char *cpg_parameter(const cpg_connection *connection, const char *name);

// Each of the following sends and waits for the last result, at most `timeout_ms` (0: for ever).
// NULL: the connection is lost or the time is up (`*timed_out`); it cannot be used any longer.

/// A script: several statements, one implicit transaction.
cpg_result *cpg_exec(cpg_connection *connection, const char *sql, int64_t timeout_ms, bool *timed_out);
/// An empty name is the unnamed statement.
cpg_result *cpg_prepare(cpg_connection *connection, const char *name, const char *sql, int64_t timeout_ms, bool *timed_out);
cpg_result *cpg_describe(cpg_connection *connection, const char *name, int64_t timeout_ms, bool *timed_out);
/// `formats`: 0 text (ends with a NUL byte), 1 binary (`lengths` bytes). A NULL value is NULL.
cpg_result *cpg_execute(cpg_connection *connection, const char *name, int count, const char *const *values,
                        const int *lengths, const int *formats, int64_t timeout_ms, bool *timed_out);
cpg_result *cpg_execute_text(cpg_connection *connection, const char *sql, int count, const char *const *values,
                             const int *lengths, const int *formats, int64_t timeout_ms, bool *timed_out);

// Pipelines: what is sent between `begin` and `end` goes out together; the answers are read one by
// one, in order, after `cpg_pipeline_sync`. An error skips everything up to the next sync.

bool cpg_pipeline_begin(cpg_connection *connection);
bool cpg_pipeline_end(cpg_connection *connection);
bool cpg_pipeline_sync(cpg_connection *connection);
bool cpg_send_prepare(cpg_connection *connection, const char *name, const char *sql);
bool cpg_send_describe(cpg_connection *connection, const char *name);
bool cpg_send_execute(cpg_connection *connection, const char *name, int count, const char *const *values,
                      const int *lengths, const int *formats);
bool cpg_send_execute_text(cpg_connection *connection, const char *sql, int count, const char *const *values,
                           const int *lengths, const int *formats);
/// The next answer; `cpg_status` of one that was skipped is CPG_PIPELINE_ABORTED. After the last
/// comes one of CPG_PIPELINE_SYNC. NULL as above.
cpg_result *cpg_pipeline_next(cpg_connection *connection, int64_t timeout_ms, bool *timed_out);
enum { CPG_PIPELINE_SYNC = 10, CPG_PIPELINE_ABORTED = 11 };

void cpg_clear(cpg_result *result);
int cpg_status(const cpg_result *result);
/// Five characters, or "" (the fault is of the connection).
const char *cpg_sqlstate(const cpg_result *result);
const char *cpg_message(const cpg_result *result);
/// "DETAIL" of an error, or "".
const char *cpg_detail(const cpg_result *result);
/// "INSERT 0 1", "COMMIT", …
const char *cpg_command(const cpg_result *result);
/// Rows that an INSERT, UPDATE, DELETE … touched; 0 for others.
int64_t cpg_touched(const cpg_result *result);
int cpg_rows(const cpg_result *result);
int cpg_columns(const cpg_result *result);
const char *cpg_column_name(const cpg_result *result, int column);
uint32_t cpg_column_type(const cpg_result *result, int column);
bool cpg_is_null(const cpg_result *result, int row, int column);
const char *cpg_value(const cpg_result *result, int row, int column);
int cpg_length(const cpg_result *result, int row, int column);

/// Waits for notifications or `wake_fd` (-1: none) for at most `timeout_ms`, and takes all that are
/// there. Returns how many; -1: the connection is lost.
int cpg_notifications(cpg_connection *connection, int wake_fd, int64_t timeout_ms);

/// A descriptor that `cpg_wake` makes readable, for good; -1: errno says why.
int cpg_wake_make(void);
void cpg_wake(int wake_fd);
void cpg_wake_close(int wake_fd);
/// Waits for it, at most `timeout_ms`.
void cpg_wake_wait(int wake_fd, int64_t timeout_ms);

#endif
