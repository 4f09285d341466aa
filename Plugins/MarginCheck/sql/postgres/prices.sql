-- The newest two prices of every pair, the newest first.
-- out: pair_id bigint, symbol text, base text, quote text, ts_ms bigint, bid numeric, ask numeric
SELECT m.id, m.symbol, m.base, m.quote, q.ts_ms, q.bid, q.ask
FROM pairs m
CROSS JOIN LATERAL (SELECT seq, ts_ms, bid, ask FROM quotes WHERE pair_id = m.id ORDER BY seq DESC LIMIT 2) q
ORDER BY m.id, q.seq DESC
