-- 1: done, 0: somebody was faster
UPDATE public.orders SET status = 'EXPIRED', locked_amount = 0
WHERE id = CAST(:id AS uuid) AND status || ' ' || filled_quantity = :version AND status IN ('OPEN', 'PARTIALLY_FILLED')
