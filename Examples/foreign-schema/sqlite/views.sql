-- The same platform in SQLite, its trades in a table `fills`:
--
--   trading_pairs (id TEXT, symbol TEXT, status TEXT)
--   fills (id INTEGER, pair_id TEXT, side TEXT, price TEXT, quantity TEXT, created_at TEXT)

CREATE VIEW pairs AS
SELECT k.id, p.symbol, substr(p.symbol, 1, instr(p.symbol, '/') - 1) AS base, substr(p.symbol, instr(p.symbol, '/') + 1) AS quote,
       p.status = 'ACTIVE' AS active, NULL AS clock_ms
FROM trading_pairs p JOIN pair_keys k ON k.key = p.id;

CREATE VIEW trades AS
SELECT f.id AS seq, k.id AS pair_id, f.id, CAST(round((julianday(f.created_at) - 2440587.5) * 86400000) AS INTEGER) AS ts_ms,
       lower(f.side) AS side, f.price, f.quantity AS amount
FROM fills f JOIN pair_keys k ON k.key = f.pair_id;
