-- When the newest closed candle opened.
-- in:  :pair INTEGER, :interval TEXT
-- out: open_ms INTEGER
SELECT open_ms FROM candles
WHERE pair_id = :pair AND interval = :interval AND closed = 1 ORDER BY open_ms DESC LIMIT 1
