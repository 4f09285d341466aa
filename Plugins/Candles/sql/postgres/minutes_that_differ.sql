-- Minutes since :back before now whose candle is not made of as many trades as there are.
-- in:  :now bigint, :back bigint (milliseconds), :read bigint (the newest transaction that was read)
-- out: pair_id bigint, open_ms bigint
SELECT d.pair_id, d.open_ms
FROM (SELECT t.pair_id, t.ts_ms - t.ts_ms % 60000 AS open_ms, count(*) AS trades
      FROM pairs p JOIN trades t ON t.pair_id = p.id
      WHERE t.ts_ms >= (coalesce(p.clock_ms, :now) - :back) / 60000 * 60000 AND t.tx <= :read
      GROUP BY t.pair_id, t.ts_ms - t.ts_ms % 60000) d
LEFT JOIN candles c ON c.pair_id = d.pair_id AND c.interval = '1m' AND c.open_ms = d.open_ms
WHERE d.trades <> coalesce(c.trades, 0) ORDER BY d.pair_id, d.open_ms
