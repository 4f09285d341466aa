/* The floor of what a queue in PostgreSQL costs, through plain libpq: rows like the host's own, in a
   table and with the indexes of the host's own, claimed and completed by two statements for each batch,
   each durable. `floor-postgres URL work COUNT BATCH`: rows a second. `floor-postgres URL enqueue COUNT
   CONNECTIONS`: calls of jobhost.enqueue a second, each a transaction, over so many connections that are open when
   the clock starts; `floor-postgres URL insert COUNT CONNECTIONS`: plain INSERTs into a table like its own, the floor
   of that. `floor-postgres URL idle COUNT MS`: a call of it every MS milliseconds; prints when each began and
   returned, in microseconds, and its payload is the first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;
PGconn *PQconnectdb(const char *);
int PQstatus(const PGconn *);
char *PQerrorMessage(const PGconn *);
void PQfinish(PGconn *);
PGresult *PQexec(PGconn *, const char *);
PGresult *PQprepare(PGconn *, const char *, const char *, int, const unsigned *);
PGresult *PQexecPrepared(PGconn *, const char *, int, const char *const *, const int *, const int *, int);
int PQresultStatus(const PGresult *);
int PQntuples(const PGresult *);
char *PQgetvalue(const PGresult *, int, int);
void PQclear(PGresult *);

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
static PGconn *connection;
static PGresult *checked(PGresult *result) {
    int status = PQresultStatus(result);
    if (status == 1 || status == 2) return result;
    fprintf(stderr, "floor-postgres: %s", PQerrorMessage(connection));
    exit(1);
}
static void connect_to(const char *url) {
    connection = PQconnectdb(url);
    if (PQstatus(connection) == 0) return;
    fprintf(stderr, "floor-postgres: %s", PQerrorMessage(connection));
    exit(1);
}
static double work(const char *url, int count, const char *batch) {
    char text[2000];
    connect_to(url);
    PQclear(checked(PQexec(connection, "DROP TABLE IF EXISTS floor_runs; CREATE TABLE floor_runs (LIKE jobhost.runs INCLUDING ALL)")));
    snprintf(text, sizeof text,
        "INSERT INTO floor_runs (id, job, trigger, state, fire_time, available_at, rank, created_at, attempt, max_attempts, priority, "
        "idempotency_key, payload) SELECT n, 'q', 'enqueued', 'available', n, n, n, n, 0, 4, 0, n::text, '1' FROM generate_series(1, %d) n", count);
    PQclear(checked(PQexec(connection, text)));
    PQclear(checked(PQprepare(connection, "claim",
        "UPDATE floor_runs SET state = 'running', attempt = attempt + 1, owner = 'floor', lease_until = 1 WHERE id IN ("
        "SELECT id FROM floor_runs WHERE state = 'available' AND job = 'q' ORDER BY rank, id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id, payload", 0, NULL)));
    PQclear(checked(PQprepare(connection, "end",
        "UPDATE floor_runs SET state = 'succeeded', outcome = 'succeeded', started_at = 1, finished_at = 2, lease_until = NULL "
        "WHERE id = ANY ($1::bigint[]) AND state = 'running'", 0, NULL)));
    double began = now();
    for (int done = 0; done < count;) {
        PGresult *claimed = checked(PQexecPrepared(connection, "claim", 1, &batch, NULL, NULL, 0));
        int rows = PQntuples(claimed);
        if (rows == 0) break;
        char *ids = malloc((size_t)rows * 24 + 3), *end = ids;
        *end++ = '{';
        for (int i = 0; i < rows; i++) end += sprintf(end, "%s%s", i ? "," : "", PQgetvalue(claimed, i, 0));
        strcpy(end, "}");
        PQclear(claimed);
        const char *list = ids;
        PQclear(checked(PQexecPrepared(connection, "end", 1, &list, NULL, NULL, 0)));
        free(ids);
        done += rows;
    }
    double took = now() - began;
    PQclear(checked(PQexec(connection, "DROP TABLE floor_runs")));
    PQfinish(connection);
    return count / took;
}
/* So many processes with a connection each; the clock starts when all are connected. */
static double together(const char *url, int count, int connections, const char *statement) {
    int ready[2], go[2], each = count / connections, bad = 0;
    char byte = 0;
    if (pipe(ready) != 0 || pipe(go) != 0) exit(1);
    for (int i = 0; i < connections; i++) {
        if (fork() != 0) continue;
        close(go[1]);
        connect_to(url);
        if (write(ready[1], &byte, 1) != 1) exit(1);
        /* So that the end of one of them is seen. */
        close(ready[1]);
        /* Until the other end is closed. */
        if (read(go[0], &byte, 1) != 0) exit(1);
        for (int n = 0; n < each; n++) PQclear(checked(PQexec(connection, statement)));
        PQfinish(connection);
        exit(0);
    }
    close(ready[1]);
    for (int i = 0; i < connections; i++) if (read(ready[0], &byte, 1) != 1) bad = 1;
    double began = now();
    close(go[1]);
    for (int i = 0, status; i < connections; i++) if (wait(&status) < 0 || status != 0) bad = 1;
    double took = now() - began;
    if (bad) exit(1);
    return each * connections / took;
}
static double enqueue(const char *url, int count, int connections) {
    return together(url, count, connections, "SELECT jobhost.enqueue('elsewhere', '1')");
}
static void once(const char *url, const char *script) {
    connect_to(url);
    PQclear(checked(PQexec(connection, script)));
    PQfinish(connection);
}
static double insert(const char *url, int count, int connections) {
    once(url, "DROP TABLE IF EXISTS floor_inbox; CREATE TABLE floor_inbox (LIKE jobhost.enqueue_inbox INCLUDING ALL)");
    double rate = together(url, count, connections, "INSERT INTO floor_inbox (job, payload) VALUES ('elsewhere', '1')");
    once(url, "DROP TABLE floor_inbox");
    return rate;
}
static long long wall(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (long long)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}
static int idle(const char *url, int count, int milliseconds) {
    connect_to(url);
    PQclear(checked(PQprepare(connection, "enqueue", "SELECT jobhost.enqueue('q', $1)", 0, NULL)));
    for (int i = 0; i < count; i++) {
        usleep((unsigned)milliseconds * 1000);
        char payload[24];
        const char *value = payload;
        long long began = wall();
        snprintf(payload, sizeof payload, "%lld", began);
        PQclear(checked(PQexecPrepared(connection, "enqueue", 1, &value, NULL, NULL, 0)));
        printf("%lld %lld\n", began, wall());
    }
    PQfinish(connection);
    return 0;
}
int main(int count, char **words) {
    if (count != 5) return 2;
    if (strcmp(words[2], "idle") == 0) return idle(words[1], atoi(words[3]), atoi(words[4]));
    int rows = atoi(words[3]), connections = atoi(words[4]);
    double rate = strcmp(words[2], "work") == 0 ? work(words[1], rows, words[4])
        : strcmp(words[2], "insert") == 0 ? insert(words[1], rows, connections) : enqueue(words[1], rows, connections);
    printf("%.0f\n", rate);
    return 0;
}
