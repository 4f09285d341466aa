-- For the reconciler (the statement update_order). An average is a quotient: rounded to what the column keeps.
-- 1: done, 0: somebody was faster
UPDATE external_orders
SET status = :status, executed_qty = units_of(:executed, 8), avg_price = rounded(:average_price, 8),
    last_synced_at = strftime('%Y-%m-%dT%H:%M:%SZ', :now / 1000, 'unixepoch')
WHERE id = :id AND status = :old_status AND executed_qty = units_of(:old_executed, 8)
