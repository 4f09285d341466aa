/* The floor of a host's start, in plain C: reads the config's bytes, and from the ledger what the host asks it
   before it fires anything (Boot.swift). `floor-start CONFIG DATABASE`. It parses nothing, loads no library and
   starts no worker.
   Prints one line of JSON: when it was done (microseconds since 1970), how many bytes and rows it has read. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static sqlite3 *database;
static unsigned long long sum;

/* The host's own statements (Sources/JobStore/Ledger), in its order. */
static const char *const asked[] = {
    "SELECT pid, start_time, boot_id, plugin FROM workers WHERE host = 'floor' ORDER BY pid",
    "SELECT plugin, sha256, path, accepted_at FROM accepted_libraries ORDER BY plugin",
    "SELECT id, generation, at, accepted, report FROM reloads ORDER BY id DESC LIMIT 20",
    "SELECT enabled, reason, since, paused, pause_reason, paused_since FROM controls WHERE job = ''",
    "SELECT * FROM runs WHERE state = 'running' AND epoch <> 'floor'",
    "SELECT job, cursor, schedule, adaptive_us, last_finished, last_outcome FROM job_states WHERE 1 = 1",
    "SELECT job, generation, data FROM breakers WHERE 1 = 1",
    "SELECT job, enabled, reason, since, paused, pause_reason, paused_since FROM controls WHERE job <> '' AND 1 = 1",
    "SELECT id, job, trigger FROM runs WHERE state = 'available' AND available_at <= ? AND attempt = 0 AND trigger IN ('schedule', 'catch_up')",
    "SELECT id, job, trigger FROM runs WHERE state IN ('scheduled', 'retryable') AND available_at <= ? AND attempt = 0 AND trigger IN ('schedule', 'catch_up')",
    "WITH waiting AS MATERIALIZED (SELECT job, available_at FROM runs WHERE state = 'available') "
    "SELECT job, count(*), count(CASE WHEN available_at <= ? THEN 1 END), min(available_at) FROM waiting GROUP BY job",
    "WITH waiting AS MATERIALIZED (SELECT job, available_at FROM runs WHERE state IN ('scheduled', 'retryable')) "
    "SELECT job, count(*), count(CASE WHEN available_at <= ? THEN 1 END), min(available_at) FROM waiting GROUP BY job",
    "SELECT job, count(*) FROM runs WHERE state = 'running' GROUP BY job",
    "SELECT job, count(*) FROM runs WHERE state = 'discarded' GROUP BY job",
    "SELECT job, name, sum(value) FROM counters GROUP BY job, name",
};

static long long present(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
static void check(int result) {
    if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return;
    fprintf(stderr, "floor-start: %s\n", sqlite3_errmsg(database));
    exit(1);
}
/* How many rows; every value of each is read. */
static long ask(const char *sql) {
    sqlite3_stmt *statement;
    long rows = 0;
    check(sqlite3_prepare_v2(database, sql, -1, &statement, NULL));
    if (sqlite3_bind_parameter_count(statement) > 0) sqlite3_bind_int64(statement, 1, present());
    for (int result; (result = sqlite3_step(statement)) != SQLITE_DONE; rows++) {
        check(result);
        for (int column = 0; column < sqlite3_column_count(statement); column++) {
            const unsigned char *text = sqlite3_column_text(statement, column);
            sum += text ? *text : 0;
        }
    }
    sqlite3_finalize(statement);
    return rows;
}

int main(int words, char **word) {
    static char buffer[65536];
    FILE *config = words == 3 ? fopen(word[1], "r") : NULL;
    if (!config) return 2;
    size_t bytes = 0;
    for (size_t count; (count = fread(buffer, 1, sizeof buffer, config)) > 0; bytes += count)
        for (size_t i = 0; i < count; i++) sum += (unsigned char)buffer[i];
    fclose(config);
    check(sqlite3_open_v2(word[2], &database, SQLITE_OPEN_READWRITE, NULL));
    long rows = 0;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) rows += ask(asked[i]);
    printf("{\"at\": %lld, \"bytes\": %zu, \"rows\": %ld, \"sum\": %llu}\n", present(), bytes, rows, sum);
    sqlite3_close(database);
    return 0;
}
