-- The newest two prices of every pair, the newest first.
-- out: pair_id INTEGER, symbol TEXT, base TEXT, quote TEXT, ts_ms INTEGER, bid TEXT, ask TEXT
SELECT m.id, m.symbol, m.base, m.quote, q.ts_ms, q.bid, q.ask
FROM pairs m JOIN quotes q ON q.seq IN (SELECT seq FROM quotes WHERE pair_id = m.id ORDER BY seq DESC LIMIT 2)
ORDER BY m.id, q.seq DESC
