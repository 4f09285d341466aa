/* The floor of what a queue in SQLite costs, in plain C: rows like the host's own, in a table and with the
   indexes of the host's own, claimed and completed in a transaction each for every batch, durable.
   `floor-sqlite DATABASE COUNT BATCH`: rows a second. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static sqlite3 *database;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
static void check(int result) {
    if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return;
    fprintf(stderr, "floor-sqlite: %s\n", sqlite3_errmsg(database));
    exit(1);
}
static void execute(const char *sql) { check(sqlite3_exec(database, sql, NULL, NULL, NULL)); }
static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    check(sqlite3_prepare_v2(database, sql, -1, &statement, NULL));
    return statement;
}
static int step(sqlite3_stmt *statement) {
    int result = sqlite3_step(statement);
    check(result);
    return result;
}

int main(int words, char **word) {
    if (words != 4) return 2;
    int count = atoi(word[2]), batch = atoi(word[3]);
    check(sqlite3_open(word[1], &database));
    execute("PRAGMA synchronous = FULL; DELETE FROM runs; UPDATE sequences SET value = 1000000000; BEGIN");
    sqlite3_stmt *insert = prepare(
        "INSERT INTO runs (id, job, trigger, state, fire_time, available_at, rank, created_at, attempt, max_attempts, priority, "
        "idempotency_key, payload) VALUES (?1, 'q', 'enqueued', 'available', ?1, ?1, ?1, ?1, 0, 4, 0, ?1, '1')");
    for (int i = 1; i <= count; i++) {
        sqlite3_bind_int(insert, 1, i);
        step(insert);
        sqlite3_reset(insert);
    }
    execute("COMMIT");
    sqlite3_stmt *find = prepare("SELECT id, payload FROM runs WHERE state = 'available' AND job = 'q' ORDER BY rank, id LIMIT ?1");
    sqlite3_stmt *claim = prepare("UPDATE runs SET state = 'running', attempt = attempt + 1, owner = 'floor', lease_until = 1 WHERE id = ?1");
    sqlite3_stmt *end = prepare("UPDATE runs SET state = 'succeeded', outcome = 'succeeded', started_at = 1, finished_at = 2, lease_until = NULL WHERE id = ?1");
    long long *ids = malloc(sizeof *ids * (size_t)batch);
    double began = now();
    for (int done = 0; done < count;) {
        int taken = 0;
        execute("BEGIN IMMEDIATE");
        sqlite3_bind_int(find, 1, batch);
        while (step(find) == SQLITE_ROW) ids[taken++] = sqlite3_column_int64(find, 0);
        sqlite3_reset(find);
        if (taken == 0) break;
        for (int part = 0; part < 2; part++) {
            sqlite3_stmt *statement = part ? end : claim;
            if (part) execute("BEGIN IMMEDIATE");
            for (int i = 0; i < taken; i++) {
                sqlite3_bind_int64(statement, 1, ids[i]);
                step(statement);
                sqlite3_reset(statement);
            }
            execute("COMMIT");
        }
        done += taken;
    }
    printf("%.0f\n", count / (now() - began));
    return 0;
}
