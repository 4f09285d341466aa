/* The floor of candles, in plain C, over the trades of DATABASE: `floor-candles DATABASE`.
   read:    steps the statement that the job steps, reads its integers, adds up the digits of its two texts
   group:   SQLite's own GROUP BY into 1m candles, with REAL numbers, which are not exact
   memory:  a loop over rows that are in memory, with doubles, which are not exact
   Prints one line of JSON: rows a second. */
#include <sqlite3.h>
#include <stdint.h>
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
static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK) return statement;
    fprintf(stderr, "floor-candles: %s\n", sqlite3_errmsg(database));
    exit(1);
}

struct trade {
    int64_t pair, minute;
    double price, amount;
};
struct candle {
    double open, high, low, close, volume;
    int64_t trades;
};

int main(int words, char **word) {
    if (words != 2 || sqlite3_open(word[1], &database) != SQLITE_OK) return 2;
    uint64_t sum = 0;
    size_t count = 0, room = 1 << 20;
    struct trade *trades = malloc(room * sizeof *trades);
    sqlite3_stmt *rows = prepare("SELECT seq, pair_id, id, ts_ms, price, amount FROM trades WHERE seq > 0 ORDER BY seq");
    double began = now();
    for (; sqlite3_step(rows) == SQLITE_ROW; count++) {
        for (int i = 0; i < 4; i++) sum += (uint64_t)sqlite3_column_int64(rows, i);
        for (int i = 4; i < 6; i++)
            for (const unsigned char *digit = sqlite3_column_text(rows, i); *digit; digit++) sum += *digit & 15;
    }
    double read = (double)count / (now() - began);
    sqlite3_reset(rows);
    if (count == 0) return 1;
    for (count = 0; sqlite3_step(rows) == SQLITE_ROW; count++) {
        if (count == room && !(trades = realloc(trades, (room *= 2) * sizeof *trades))) return 1;
        trades[count] = (struct trade){sqlite3_column_int64(rows, 1), sqlite3_column_int64(rows, 3) / 60000,
                                       sqlite3_column_double(rows, 4), sqlite3_column_double(rows, 5)};
    }
    sqlite3_finalize(rows);
    int64_t first = trades[0].minute, last = first, pairs = 0;
    for (size_t i = 0; i < count; i++) {
        if (trades[i].minute < first) first = trades[i].minute;
        if (trades[i].minute > last) last = trades[i].minute;
        if (trades[i].pair > pairs) pairs = trades[i].pair;
    }
    struct candle *candles = calloc((size_t)((last - first + 1) * (pairs + 1)), sizeof *candles);
    if (!candles) return 1;
    began = now();
    for (size_t i = 0; i < count; i++) {
        struct candle *candle = &candles[(trades[i].minute - first) * (pairs + 1) + trades[i].pair];
        double price = trades[i].price;
        if (candle->trades++ == 0) *candle = (struct candle){price, price, price, price, 0, 1};
        if (price > candle->high) candle->high = price;
        if (price < candle->low) candle->low = price;
        candle->close = price;
        candle->volume += trades[i].amount;
    }
    double memory = (double)count / (now() - began);
    for (int64_t i = 0; i < (last - first + 1) * (pairs + 1); i++) sum += (uint64_t)candles[i].trades;
    sqlite3_stmt *group = prepare(
        "SELECT pair_id, ts_ms / 60000 AS minute, max(CAST(price AS REAL)), min(CAST(price AS REAL)), sum(CAST(amount AS REAL)), count(*) "
        "FROM trades NOT INDEXED GROUP BY pair_id, minute");
    began = now();
    while (sqlite3_step(group) == SQLITE_ROW) sum += (uint64_t)sqlite3_column_int64(group, 5);
    printf("{\"rows\": %zu, \"read\": %.0f, \"memory\": %.0f, \"group\": %.0f, \"sum\": %llu}\n", count, read, memory,
           (double)count / (now() - began), (unsigned long long)sum);
    return 0;
}
