-- Candles of a pair from an instant on, oldest first.
-- in:  :pair INTEGER, :interval TEXT, :from INTEGER, :limit INTEGER
-- out: open_ms INTEGER, then as candle
SELECT open_ms, open, high, low, close, volume, quote_volume, trades, first_ms, first_id, last_ms, last_id, closed
FROM candles WHERE pair_id = :pair AND interval = :interval AND open_ms >= :from ORDER BY open_ms LIMIT :limit
