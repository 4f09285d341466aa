-- The exchange says what we have, if the order is still what was read.
-- in:  :id TEXT, :version TEXT, :old_status TEXT, :old_executed TEXT, :now INTEGER
-- 1: done, 0: somebody was faster
UPDATE exchange_orders SET last_synced_ms = :now
WHERE id = :id AND version = :version AND status = :old_status AND executed = :old_executed
