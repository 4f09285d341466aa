#include "cpostgres.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

// Debian keeps it in a folder of its own, others do not.
#if __has_include(<postgresql/libpq-fe.h>)
#include <postgresql/libpq-fe.h>
#else
#include <libpq-fe.h>
#endif

#define SAME(ours, theirs) _Static_assert((int)ours == (int)theirs, #theirs)
SAME(CPG_EMPTY, PGRES_EMPTY_QUERY);
SAME(CPG_COMMAND, PGRES_COMMAND_OK);
SAME(CPG_TUPLES, PGRES_TUPLES_OK);
SAME(CPG_PIPELINE_SYNC, PGRES_PIPELINE_SYNC);
SAME(CPG_PIPELINE_ABORTED, PGRES_PIPELINE_ABORTED);
SAME(CPG_TRANSACTION_IDLE, PQTRANS_IDLE);
SAME(CPG_TRANSACTION_ACTIVE, PQTRANS_ACTIVE);
SAME(CPG_TRANSACTION_OPEN, PQTRANS_INTRANS);
SAME(CPG_TRANSACTION_FAILED, PQTRANS_INERROR);
SAME(CPG_TRANSACTION_UNKNOWN, PQTRANS_UNKNOWN);

// Every function of libpq that is used, with the type that its header gives it.
#define FUNCTIONS(X) \
    X(PQconnectdbParams) X(PQfinish) X(PQstatus) X(PQerrorMessage) X(PQtransactionStatus) X(PQserverVersion) \
    X(PQbackendPID) X(PQhost) X(PQparameterStatus) X(PQsetnonblocking) X(PQsetNoticeProcessor) \
    X(PQsocket) X(PQflush) X(PQconsumeInput) X(PQisBusy) X(PQgetResult) \
    X(PQsendQuery) X(PQsendPrepare) X(PQsendDescribePrepared) X(PQsendQueryPrepared) X(PQsendQueryParams) \
    X(PQenterPipelineMode) X(PQexitPipelineMode) X(PQpipelineSync) \
    X(PQclear) X(PQresultStatus) X(PQresultErrorField) X(PQresultErrorMessage) X(PQcmdStatus) X(PQcmdTuples) \
    X(PQntuples) X(PQnfields) X(PQfname) X(PQftype) X(PQgetisnull) X(PQgetvalue) X(PQgetlength) \
    X(PQnotifies) X(PQfreemem)

#define DECLARE(name) static __typeof__(name) *p##name;
FUNCTIONS(DECLARE)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *problem;

static void load(void) {
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        problem = "PostgreSQL's client library libpq.so.5 is not installed: apt-get install libpq5";
        return;
    }
#define RESOLVE(name) if (!(p##name = (__typeof__(name) *)dlsym(library, #name))) \
        problem = "PostgreSQL's client library libpq.so.5 is too old, it has no " #name ": version 14 or later is needed";
    FUNCTIONS(RESOLVE)
}

const char *cpg_load(void) {
    pthread_once(&once, load);
    return problem;
}

static PGconn *raw(const cpg_connection *connection) { return (PGconn *)connection; }
static PGresult *row(const cpg_result *result) { return (PGresult *)result; }

// Notices (a table that is there already, …) are for people at a prompt: they would end on the
// standard error of the host, or in a run's log.
static void ignore_notice(void *context, const char *message) {
    (void)context;
    (void)message;
}

cpg_connection *cpg_connect(const char *const *keywords, const char *const *values) {
    PGconn *connection = pPQconnectdbParams(keywords, values, 1);
    if (connection && pPQstatus(connection) == CONNECTION_OK) {
        pPQsetnonblocking(connection, 1);
        pPQsetNoticeProcessor(connection, ignore_notice, NULL);
    }
    return (cpg_connection *)connection;
}

void cpg_close(cpg_connection *connection) { if (connection) pPQfinish(raw(connection)); }
bool cpg_is_open(const cpg_connection *connection) { return connection && pPQstatus(raw(connection)) == CONNECTION_OK; }
const char *cpg_error(const cpg_connection *connection) { return connection ? pPQerrorMessage(raw(connection)) : "out of memory"; }
int cpg_transaction(const cpg_connection *connection) { return pPQtransactionStatus(raw(connection)); }
int cpg_server_version(const cpg_connection *connection) { return pPQserverVersion(raw(connection)); }
int cpg_backend_pid(const cpg_connection *connection) { return pPQbackendPID(raw(connection)); }

const char *cpg_host(const cpg_connection *connection) {
    const char *host = pPQhost(raw(connection));
    return host ? host : "";
}

const char *cpg_parameter(const cpg_connection *connection, const char *name) {
    const char *value = pPQparameterStatus(raw(connection), name);
    return value ? value : "";
}

static int64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// Sends what is left and reads until an answer is whole. A server that hangs would otherwise hold
// the thread for ever: TCP's own limits end only a connection whose other machine is gone.
static bool answer_is_there(PGconn *connection, int64_t deadline, bool *timed_out) {
    for (;;) {
        int unsent = pPQflush(connection);
        if (unsent < 0) return false;
        if (unsent == 0 && !pPQisBusy(connection)) return true;
        int64_t rest = deadline ? deadline - now_ms() : -1;
        if (deadline && rest <= 0) {
            *timed_out = true;
            return false;
        }
        struct pollfd entry = { .fd = pPQsocket(connection), .events = POLLIN | (unsent ? POLLOUT : 0) };
        if (entry.fd < 0) return false;
        int found = poll(&entry, 1, rest < 0 ? -1 : rest > 3600000 ? 3600000 : (int)rest);
        if (found < 0 && errno != EINTR) return false;
        if (found > 0 && (entry.revents & ~POLLOUT) && !pPQconsumeInput(connection)) return false;
    }
}

static PGresult *next_result(PGconn *connection, int64_t deadline, bool *timed_out, bool *lost) {
    if (!answer_is_there(connection, deadline, timed_out)) {
        *lost = true;
        return NULL;
    }
    return pPQgetResult(connection);
}

// The last result of what was sent; of several, the first error.
static cpg_result *finish(PGconn *connection, int sent, int64_t timeout_ms, bool *timed_out) {
    *timed_out = false;
    if (!sent) return NULL;
    int64_t deadline = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
    PGresult *last = NULL;
    for (;;) {
        bool lost = false;
        PGresult *result = next_result(connection, deadline, timed_out, &lost);
        if (lost) {
            // A server that goes says why before it does.
            if (last && pPQresultStatus(last) == PGRES_FATAL_ERROR) return (cpg_result *)last;
            if (last) pPQclear(last);
            return NULL;
        }
        if (!result) return (cpg_result *)last;
        ExecStatusType status = pPQresultStatus(result);
        // COPY would wait for data that nobody sends.
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            pPQclear(result);
            if (last) pPQclear(last);
            return NULL;
        }
        if (last && pPQresultStatus(last) == PGRES_FATAL_ERROR) {
            pPQclear(result);
            continue;
        }
        if (last) pPQclear(last);
        last = result;
    }
}

cpg_result *cpg_exec(cpg_connection *connection, const char *sql, int64_t timeout_ms, bool *timed_out) {
    return finish(raw(connection), pPQsendQuery(raw(connection), sql), timeout_ms, timed_out);
}

cpg_result *cpg_prepare(cpg_connection *connection, const char *name, const char *sql, int64_t timeout_ms, bool *timed_out) {
    return finish(raw(connection), cpg_send_prepare(connection, name, sql), timeout_ms, timed_out);
}

cpg_result *cpg_describe(cpg_connection *connection, const char *name, int64_t timeout_ms, bool *timed_out) {
    return finish(raw(connection), cpg_send_describe(connection, name), timeout_ms, timed_out);
}

cpg_result *cpg_execute(cpg_connection *connection, const char *name, int count, const char *const *values,
                        const int *lengths, const int *formats, int64_t timeout_ms, bool *timed_out) {
    return finish(raw(connection), cpg_send_execute(connection, name, count, values, lengths, formats), timeout_ms, timed_out);
}

cpg_result *cpg_execute_text(cpg_connection *connection, const char *sql, int count, const char *const *values,
                             const int *lengths, const int *formats, int64_t timeout_ms, bool *timed_out) {
    return finish(raw(connection), cpg_send_execute_text(connection, sql, count, values, lengths, formats), timeout_ms, timed_out);
}

bool cpg_send_prepare(cpg_connection *connection, const char *name, const char *sql) {
    return pPQsendPrepare(raw(connection), name, sql, 0, NULL);
}

bool cpg_send_describe(cpg_connection *connection, const char *name) { return pPQsendDescribePrepared(raw(connection), name); }

bool cpg_send_execute(cpg_connection *connection, const char *name, int count, const char *const *values,
                      const int *lengths, const int *formats) {
    return pPQsendQueryPrepared(raw(connection), name, count, values, lengths, formats, 0);
}

bool cpg_send_execute_text(cpg_connection *connection, const char *sql, int count, const char *const *values,
                           const int *lengths, const int *formats) {
    return pPQsendQueryParams(raw(connection), sql, count, NULL, values, lengths, formats, 0);
}

bool cpg_pipeline_begin(cpg_connection *connection) { return pPQenterPipelineMode(raw(connection)); }
bool cpg_pipeline_end(cpg_connection *connection) { return pPQexitPipelineMode(raw(connection)); }
bool cpg_pipeline_sync(cpg_connection *connection) { return pPQpipelineSync(raw(connection)); }

cpg_result *cpg_pipeline_next(cpg_connection *connection, int64_t timeout_ms, bool *timed_out) {
    *timed_out = false;
    int64_t deadline = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
    // A NULL ends each statement's results; two in a row mean that nothing more is to come.
    for (int empty = 0; empty < 2; empty++) {
        bool lost = false;
        PGresult *result = next_result(raw(connection), deadline, timed_out, &lost);
        if (lost) return NULL;
        if (result) return (cpg_result *)result;
    }
    return NULL;
}

void cpg_clear(cpg_result *result) { if (result) pPQclear(row(result)); }
int cpg_status(const cpg_result *result) { return pPQresultStatus(row(result)); }

static const char *field(const cpg_result *result, int code) {
    const char *text = pPQresultErrorField(row(result), code);
    return text ? text : "";
}

const char *cpg_sqlstate(const cpg_result *result) { return field(result, PG_DIAG_SQLSTATE); }
const char *cpg_detail(const cpg_result *result) { return field(result, PG_DIAG_MESSAGE_DETAIL); }

const char *cpg_message(const cpg_result *result) {
    const char *primary = field(result, PG_DIAG_MESSAGE_PRIMARY);
    return *primary ? primary : pPQresultErrorMessage(row(result));
}

const char *cpg_command(const cpg_result *result) { return pPQcmdStatus(row(result)); }
int64_t cpg_touched(const cpg_result *result) { return strtoll(pPQcmdTuples(row(result)), NULL, 10); }
int cpg_rows(const cpg_result *result) { return pPQntuples(row(result)); }
int cpg_columns(const cpg_result *result) { return pPQnfields(row(result)); }

const char *cpg_column_name(const cpg_result *result, int column) {
    const char *name = pPQfname(row(result), column);
    return name ? name : "";
}

uint32_t cpg_column_type(const cpg_result *result, int column) { return pPQftype(row(result), column); }
bool cpg_is_null(const cpg_result *result, int line, int column) { return pPQgetisnull(row(result), line, column); }
const char *cpg_value(const cpg_result *result, int line, int column) { return pPQgetvalue(row(result), line, column); }
int cpg_length(const cpg_result *result, int line, int column) { return pPQgetlength(row(result), line, column); }

static int take_notifications(PGconn *connection) {
    int count = 0;
    for (PGnotify *notification; (notification = pPQnotifies(connection)); count++) pPQfreemem(notification);
    return count;
}

int cpg_notifications(cpg_connection *connection, int wake_fd, int64_t timeout_ms) {
    PGconn *conn = raw(connection);
    int count = take_notifications(conn);
    if (count) return count;
    struct pollfd entries[2] = { { .fd = pPQsocket(conn), .events = POLLIN }, { .fd = wake_fd, .events = POLLIN } };
    if (entries[0].fd < 0) return -1;
    int found = poll(entries, wake_fd < 0 ? 1 : 2, timeout_ms > 3600000 ? 3600000 : (int)timeout_ms);
    if (found <= 0) return 0;
    if (entries[0].revents && !pPQconsumeInput(conn)) return -1;
    return pPQstatus(conn) == CONNECTION_OK ? take_notifications(conn) : -1;
}

int cpg_wake_make(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void cpg_wake(int wake_fd) { eventfd_write(wake_fd, 1); }

void cpg_wake_close(int wake_fd) { close(wake_fd); }

void cpg_wake_wait(int wake_fd, int64_t timeout_ms) {
    struct pollfd entry = { .fd = wake_fd, .events = POLLIN };
    poll(&entry, 1, (int)timeout_ms);
}
