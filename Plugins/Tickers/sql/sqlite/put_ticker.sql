-- Writes a ticker.
-- in:  by name, as the columns of the table
INSERT INTO tickers (pair_id, last, open, high, low, change, change_percent, volume, quote_volume, trades, valid_until_ms)
VALUES (:pair, :last, :open, :high, :low, :change, :change_percent, :volume, :quote_volume, :trades, :valid_until)
ON CONFLICT (pair_id) DO UPDATE
SET last = excluded.last, open = excluded.open, high = excluded.high, low = excluded.low, change = excluded.change,
    change_percent = excluded.change_percent, volume = excluded.volume, quote_volume = excluded.quote_volume,
    trades = excluded.trades, valid_until_ms = excluded.valid_until_ms
