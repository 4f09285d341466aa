-- Trades of a pair before an instant that had arrived with a transaction, the newest first.
-- in:  :pair bigint, :until bigint, :upto bigint (a transaction), :limit bigint
-- out: id bigint, ts_ms bigint, price numeric, amount numeric
SELECT id, ts_ms, price, amount FROM trades
WHERE pair_id = :pair AND ts_ms < :until AND tx <= :upto ORDER BY ts_ms DESC, id DESC LIMIT :limit
