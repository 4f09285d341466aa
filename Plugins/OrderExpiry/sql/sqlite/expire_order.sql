-- Ends an order, if it is still what was read.
-- in:  :id TEXT, :version TEXT, :filled TEXT
-- 1: done, 0: somebody was faster
UPDATE orders SET status = 'expired', locked = '0', version = version + 1
WHERE id = :id AND version = :version AND filled = :filled AND status IN ('open', 'partial', 'expiring')
