-- Writes what is known of a pair.
-- in:  by name, as the columns of the table
INSERT INTO ticker_windows (pair_id, from_ms, until_ms, trades, volume, quote_volume, first_ms, first_id, first_price,
                            last_ms, last_id, last_price, newest_ms, built_seq, built_ms)
VALUES (:pair, :from_ms, :until_ms, :trades, :volume, :quote_volume, :first_ms, :first_id, :first_price,
        :last_ms, :last_id, :last_price, :newest_ms, :built_seq, :built_ms)
ON CONFLICT (pair_id) DO UPDATE
SET from_ms = excluded.from_ms, until_ms = excluded.until_ms, trades = excluded.trades, volume = excluded.volume,
    quote_volume = excluded.quote_volume, first_ms = excluded.first_ms, first_id = excluded.first_id,
    first_price = excluded.first_price, last_ms = excluded.last_ms, last_id = excluded.last_id,
    last_price = excluded.last_price, newest_ms = excluded.newest_ms, built_seq = excluded.built_seq,
    built_ms = excluded.built_ms
