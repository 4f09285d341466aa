-- All trades of a pair in [from, until) that were read.
-- in:  :pair INTEGER, :from INTEGER, :until INTEGER, :read INTEGER (the newest seq that was read)
-- out: seq INTEGER, pair_id INTEGER, id INTEGER, ts_ms INTEGER, price TEXT, amount TEXT
SELECT seq, pair_id, id, ts_ms, price, amount FROM trades
WHERE pair_id = :pair AND ts_ms >= :from AND ts_ms < :until AND seq <= :read
