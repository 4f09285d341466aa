-- Ends an order, if it is still what was read.
-- in:  :id INTEGER, :version INTEGER, :status TEXT (filled, cancelled), :filled TEXT
-- 1: done, 0: somebody was faster
UPDATE orders SET status = :status, filled = :filled, locked = '0', version = version + 1
WHERE id = :id AND version = :version AND status = 'open'
