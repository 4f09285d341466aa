-- When the newest trade of a pair at or after an instant was, of those that had arrived by a seq.
-- in:  :pair INTEGER, :from INTEGER, :upto INTEGER (a seq)
-- out: ts_ms INTEGER
SELECT ts_ms FROM trades
WHERE pair_id = :pair AND ts_ms >= :from AND seq <= :upto ORDER BY ts_ms DESC, id DESC LIMIT 1
