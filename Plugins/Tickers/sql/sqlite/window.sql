-- What is known of a pair.
-- in:  :pair INTEGER
-- out: as the columns of ticker_windows from from_ms on
SELECT from_ms, until_ms, trades, volume, quote_volume, first_ms, first_id, first_price,
       last_ms, last_id, last_price, newest_ms, built_seq, built_ms
FROM ticker_windows WHERE pair_id = :pair
