-- Minutes since :back before now whose candle is not made of as many trades as there are.
-- in:  :now INTEGER, :back INTEGER (milliseconds), :read INTEGER (the newest seq that was read)
-- out: pair_id INTEGER, open_ms INTEGER
SELECT d.pair_id, d.open_ms
FROM (SELECT t.pair_id, t.ts_ms - t.ts_ms % 60000 AS open_ms, count(*) AS trades
      FROM pairs p JOIN trades t ON t.pair_id = p.id
      WHERE t.ts_ms >= (coalesce(p.clock_ms, :now) - :back) / 60000 * 60000 AND t.seq <= :read
      GROUP BY t.pair_id, t.ts_ms - t.ts_ms % 60000) d
LEFT JOIN candles c ON c.pair_id = d.pair_id AND c.interval = '1m' AND c.open_ms = d.open_ms
WHERE d.trades <> coalesce(c.trades, 0) ORDER BY d.pair_id, d.open_ms
