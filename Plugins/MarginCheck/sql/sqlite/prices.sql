-- The newest price of every pair and the one before it, the newest first. One that was delivered twice is one: the one
-- before is of another instant.
-- out: pair_id INTEGER, symbol TEXT, base TEXT, quote TEXT, ts_ms INTEGER, bid TEXT, ask TEXT
SELECT m.id, m.symbol, m.base, m.quote, q.ts_ms, q.bid, q.ask
FROM pairs m
JOIN quotes n ON n.seq = (SELECT seq FROM quotes WHERE pair_id = m.id ORDER BY seq DESC LIMIT 1)
JOIN quotes q
    ON q.seq IN (n.seq, (SELECT seq FROM quotes WHERE pair_id = m.id AND ts_ms <> n.ts_ms ORDER BY seq DESC LIMIT 1))
ORDER BY m.id, q.seq DESC
