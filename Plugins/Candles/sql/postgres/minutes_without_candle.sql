-- Minutes of the last day in which a pair was traded and has no candle. By rights there are none.
-- in:  :now bigint, :read bigint (the newest transaction that was read)
-- out: symbol text, minutes bigint, first_ms bigint
SELECT p.symbol, count(DISTINCT t.ts_ms / 60000), min(t.ts_ms)
FROM pairs p JOIN trades t ON t.pair_id = p.id
WHERE p.active = 1 AND t.ts_ms >= coalesce(p.clock_ms, :now) - 86400000 AND t.tx <= :read
  AND NOT EXISTS (SELECT 1 FROM candles c
                  WHERE c.pair_id = p.id AND c.interval = '1m' AND c.open_ms = t.ts_ms - t.ts_ms % 60000)
GROUP BY p.id, p.symbol ORDER BY p.id
