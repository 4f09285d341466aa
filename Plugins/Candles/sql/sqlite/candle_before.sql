-- When the newest candle that opened at or before an instant did.
-- in:  :pair INTEGER, :interval TEXT, :at INTEGER
-- out: open_ms INTEGER
SELECT open_ms FROM candles
WHERE pair_id = :pair AND interval = :interval AND open_ms <= :at ORDER BY open_ms DESC LIMIT 1
