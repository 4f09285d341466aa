-- in:  :after (the number of the last trade that was read), :limit
-- out: id, ts_ms, price, amount, number, pair_id
SELECT id, ts_ms, price, amount, seq, pair_id FROM jobhost.trades WHERE seq > :after ORDER BY seq LIMIT :limit
