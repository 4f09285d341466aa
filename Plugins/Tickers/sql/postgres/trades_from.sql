-- When the newest trade of a pair at or after an instant was, of those that had arrived with a
-- transaction.
-- in:  :pair bigint, :from bigint, :upto bigint (a transaction)
-- out: ts_ms bigint
SELECT ts_ms FROM trades
WHERE pair_id = :pair AND ts_ms >= :from AND tx <= :upto ORDER BY ts_ms DESC, id DESC LIMIT 1
