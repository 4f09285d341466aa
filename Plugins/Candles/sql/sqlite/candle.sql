-- One candle.
-- in:  :pair INTEGER, :interval TEXT, :open_ms INTEGER
-- out: open, high, low, close, volume, quote_volume TEXT; trades, first_ms, first_id,
--      last_ms, last_id, closed INTEGER
SELECT open, high, low, close, volume, quote_volume, trades, first_ms, first_id, last_ms, last_id, closed
FROM candles WHERE pair_id = :pair AND interval = :interval AND open_ms = :open_ms
