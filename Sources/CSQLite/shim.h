// sqlite3 for Swift: the header itself, and the few calls that Swift cannot express
// (SQLITE_TRANSIENT is a cast pointer, sqlite3_db_config is variadic).
#ifndef CSQLITE_SHIM_H
#define CSQLITE_SHIM_H

#include <sqlite3.h>

/// Binds UTF-8 text of `length` bytes; SQLite copies it before the call returns.
static inline int csqlite_bind_text(sqlite3_stmt *statement, int index, const char *text, sqlite3_uint64 length) {
    return sqlite3_bind_text64(statement, index, text, length, SQLITE_TRANSIENT, SQLITE_UTF8);
}

/// Binds `length` bytes; SQLite copies them before the call returns. An empty blob stays a
/// blob: sqlite3_bind_blob64 with a null pointer would bind NULL.
static inline int csqlite_bind_blob(sqlite3_stmt *statement, int index, const void *bytes, sqlite3_uint64 length) {
    if (length == 0) return sqlite3_bind_zeroblob(statement, index, 0);
    return sqlite3_bind_blob64(statement, index, bytes, length, SQLITE_TRANSIENT);
}

/// The result of a function of ours: UTF-8 text, which SQLite copies.
static inline void csqlite_result_text(sqlite3_context *context, const char *text, sqlite3_uint64 length) {
    sqlite3_result_text64(context, text, length, SQLITE_TRANSIENT, SQLITE_UTF8);
}

/// "x" is an identifier and never falls back to a string (a misspelt column is an error), and
/// the schema of a foreign file cannot call functions with side effects.
static inline void csqlite_harden(sqlite3 *database) {
    sqlite3_db_config(database, SQLITE_DBCONFIG_DQS_DML, 0, (int *)0);
    sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)0);
}

/// Switches off SQLite's accounting of its memory, a global lock at every allocation; and keeps what a
/// savepoint would need to be undone in memory up to 1 MiB. By default it goes to a temporary file from
/// 64 KiB on, for the rest of the transaction: of a hundred items with a savepoint each that was most of
/// the time. Only before the process's first use of SQLite; later it is refused, harmlessly.
static inline int csqlite_configure(void) {
    int result = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    return result != SQLITE_OK ? result : sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, 1 << 20);
}

#endif
