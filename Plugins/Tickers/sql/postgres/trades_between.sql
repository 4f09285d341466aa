-- Trades of a pair in [from, until) that had arrived with a transaction, in their order.
-- in:  :pair bigint, :from bigint, :until bigint, :upto bigint (a transaction), :limit bigint
-- out: id bigint, ts_ms bigint, price numeric, amount numeric
SELECT id, ts_ms, price, amount FROM trades
WHERE pair_id = :pair AND ts_ms >= :from AND ts_ms < :until AND tx <= :upto ORDER BY ts_ms, id LIMIT :limit
