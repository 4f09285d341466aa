-- How far the trades and the minute candles of each active pair are.
-- in:  :now INTEGER
-- out: symbol TEXT, clock_ms INTEGER (the pair's own time, or :now), newest_trade_ms INTEGER or
--      NULL, newest_close_ms INTEGER or NULL (exclusive end of its newest minute candle)
SELECT p.symbol, coalesce(p.clock_ms, :now),
       (SELECT max(ts_ms) FROM trades WHERE pair_id = p.id),
       (SELECT close_ms FROM candles WHERE pair_id = p.id AND interval = '1m' ORDER BY open_ms DESC LIMIT 1)
FROM pairs p WHERE p.active = 1 ORDER BY p.id
