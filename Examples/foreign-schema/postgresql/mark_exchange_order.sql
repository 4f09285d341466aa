-- For the reconciler (the statement mark_synced).
-- 1: done, 0: somebody was faster
UPDATE public.external_orders SET last_synced_at = to_timestamp(:now / 1000.0)
WHERE id = CAST(:id AS uuid) AND status = :old_status AND executed_qty = CAST(:old_executed AS numeric) * 100000000
