-- Writes what the exchange has said, if the order is still what was read.
-- in:  :id TEXT, :version TEXT, :old_status TEXT, :old_executed TEXT, :status TEXT, :executed TEXT,
--      :average_price TEXT or NULL, :settled TEXT, :settled_quote TEXT, :locked TEXT (these three
--      NULL without owner), :now INTEGER
-- 1: done, 0: somebody was faster
UPDATE exchange_orders
SET status = :status, executed = :executed, average_price = :average_price, settled = coalesce(:settled, settled),
    settled_quote = coalesce(:settled_quote, settled_quote), locked = coalesce(:locked, locked), last_synced_ms = :now,
    version = version + 1
WHERE id = :id AND version = :version AND status = :old_status AND executed = :old_executed
