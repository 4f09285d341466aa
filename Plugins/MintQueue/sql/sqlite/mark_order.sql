-- Whether an order that the exchange has not confirmed is on its way, if it is still what was read.
-- in:  :exchange TEXT, :client TEXT, :version INTEGER, :status TEXT (pending; unsent: it has certainly not left)
-- 1: done, 0: somebody was faster
UPDATE exchange_orders SET status = :status, version = version + 1
WHERE exchange = :exchange AND client_id = :client AND version = :version AND placed_ms IS NULL
