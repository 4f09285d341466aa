-- A new candle.
-- in:  by name, as the columns of the table
-- 1: done, 0: it is there already
INSERT INTO candles (pair_id, interval, open_ms, close_ms, open, high, low, close, volume, quote_volume,
                     trades, first_ms, first_id, last_ms, last_id, closed)
VALUES (:pair, :interval, :open_ms, :close_ms, :open, :high, :low, :close, :volume, :quote_volume,
        :trades, :first_ms, :first_id, :last_ms, :last_id, :closed)
ON CONFLICT (pair_id, interval, open_ms) DO NOTHING
