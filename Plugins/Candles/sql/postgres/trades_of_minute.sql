-- All trades of a pair in [from, until) that were read.
-- in:  :pair bigint, :from bigint, :until bigint, :read bigint (the newest transaction that was read)
-- out: tx bigint, pair_id bigint, id bigint, ts_ms bigint, price numeric, amount numeric
SELECT tx, pair_id, id, ts_ms, price, amount FROM trades
WHERE pair_id = :pair AND ts_ms >= :from AND ts_ms < :until AND tx <= :read
