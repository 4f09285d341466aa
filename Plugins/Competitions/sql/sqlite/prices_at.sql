-- The last price of every pair at or before an instant.
-- in:  :at INTEGER
-- out: pair_id INTEGER, symbol TEXT, base TEXT, quote TEXT, ts_ms INTEGER, bid TEXT, ask TEXT
SELECT m.id, m.symbol, m.base, m.quote, q.ts_ms, q.bid, q.ask
FROM pairs m JOIN quotes q ON q.seq =
    (SELECT seq FROM quotes WHERE pair_id = m.id AND ts_ms <= :at ORDER BY ts_ms DESC, seq DESC LIMIT 1)
ORDER BY m.id
