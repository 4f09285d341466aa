-- What the exchange says of an order, if it is still what was read.
-- in:  :exchange TEXT, :client TEXT, :version INTEGER, :status TEXT, :executed TEXT, :reference TEXT or NULL,
--      :synced INTEGER or NULL (it is to be asked for at once, its money is not settled), :now INTEGER
-- 1: done, 0: somebody was faster
UPDATE exchange_orders
SET status = :status, executed = :executed, exchange_id = coalesce(:reference, exchange_id),
    placed_ms = coalesce(placed_ms, :now), last_synced_ms = :synced, version = version + 1
WHERE exchange = :exchange AND client_id = :client AND version = :version
