-- The newest price of every pair and the one before it, the newest first. One that was delivered twice is one: the one
-- before is of another instant.
-- out: pair_id bigint, symbol text, base text, quote text, ts_ms bigint, bid numeric, ask numeric
SELECT m.id, m.symbol, m.base, m.quote, q.ts_ms, q.bid, q.ask
FROM pairs m
CROSS JOIN LATERAL (SELECT seq, ts_ms, bid, ask FROM quotes WHERE pair_id = m.id ORDER BY seq DESC LIMIT 1) n
CROSS JOIN LATERAL (
    SELECT n.seq, n.ts_ms, n.bid, n.ask
    UNION ALL
    (SELECT seq, ts_ms, bid, ask FROM quotes WHERE pair_id = m.id AND ts_ms <> n.ts_ms ORDER BY seq DESC LIMIT 1)) q
ORDER BY m.id, q.seq DESC
