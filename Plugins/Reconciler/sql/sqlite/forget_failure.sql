-- The order's state is known again.
-- in:  :id TEXT
DELETE FROM exchange_order_syncs WHERE order_id = :id
