-- in:  :after (the number of the last trade that was read), :limit
-- out: number, pair_id, id, ts_ms, price, amount
SELECT seq, pair_id, id, ts_ms, price, amount FROM jobhost.trades WHERE seq > :after ORDER BY seq LIMIT :limit
