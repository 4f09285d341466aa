-- For the reconciler (the statement mark_synced).
-- 1: done, 0: somebody was faster
UPDATE external_orders SET last_synced_at = strftime('%Y-%m-%dT%H:%M:%SZ', :now / 1000, 'unixepoch')
WHERE id = :id AND status = :old_status AND executed_qty = units_of(:old_executed, 8)
