-- The last price of every pair at or before an instant.
-- in:  :at bigint
-- out: pair_id bigint, symbol text, base text, quote text, ts_ms bigint, bid numeric, ask numeric
SELECT m.id, m.symbol, m.base, m.quote, q.ts_ms, q.bid, q.ask
FROM pairs m
CROSS JOIN LATERAL (SELECT ts_ms, bid, ask FROM quotes WHERE pair_id = m.id AND ts_ms <= :at ORDER BY ts_ms DESC, seq DESC LIMIT 1) q
ORDER BY m.id
