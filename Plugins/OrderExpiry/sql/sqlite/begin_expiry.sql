-- Marks an order as being removed from the engine, if it is still what was read.
-- in:  :id TEXT, :version TEXT, :filled TEXT
-- 1: done, 0: somebody was faster
UPDATE orders SET status = 'expiring', version = version + 1
WHERE id = :id AND version = :version AND filled = :filled AND status IN ('open', 'partial')
