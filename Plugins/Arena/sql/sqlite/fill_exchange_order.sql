-- The application has heard that an order was filled.
-- in:  :id INTEGER, :version INTEGER, :price TEXT, :quantity TEXT, :quote TEXT, :now INTEGER
-- 1: done, 0: somebody was faster
UPDATE exchange_orders
SET status = 'filled', executed = :quantity, average_price = :price, settled = :quantity, settled_quote = :quote,
    locked = '0', last_synced_ms = :now, version = version + 1
WHERE id = :id AND version = :version AND status = 'new'
