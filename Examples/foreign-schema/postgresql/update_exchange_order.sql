-- For the reconciler (the statement update_order). To a bigint PostgreSQL rounds a numeric; by way of text, what has
-- more digits than the column keeps is an error.
-- 1: done, 0: somebody was faster
UPDATE public.external_orders
SET status = :status, executed_qty = CAST(CAST(trim_scale(CAST(:executed AS numeric) * 100000000) AS text) AS bigint),
    avg_price = CAST(:average_price AS numeric), last_synced_at = to_timestamp(:now / 1000.0)
WHERE id = CAST(:id AS uuid) AND status = :old_status AND executed_qty = CAST(:old_executed AS numeric) * 100000000
