-- Rewrites a candle that is there; whether it is closed stays.
-- in:  by name, as the columns of the table
UPDATE candles
SET open = :open, high = :high, low = :low, close = :close, volume = :volume, quote_volume = :quote_volume,
    trades = :trades, first_ms = :first_ms, first_id = :first_id, last_ms = :last_ms, last_id = :last_id
WHERE pair_id = :pair AND interval = :interval AND open_ms = :open_ms
