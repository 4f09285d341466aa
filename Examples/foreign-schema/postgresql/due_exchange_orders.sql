-- For the reconciler (the statement due_orders), of a platform's own table:
--
--   public.external_orders (id uuid, symbol text, external_order_id text, status text, executed_qty bigint,
--                           avg_price numeric, last_synced_at timestamptz)
--
-- executed_qty counts units of 10⁻⁸. Its words for statuses are in the setting status_map, the column
-- has to be called status.
-- in:  :exchange, :synced_before, :now, :limit
-- out: as our due_orders; without an owner no money is settled here
SELECT o.id::text, o.symbol, o.external_order_id, NULL::text, o.status AS status, o.executed_qty * 0.00000001, NULL::numeric,
       o.avg_price, '', coalesce(s.failures, 0), coalesce(s.not_found, 0), NULL::text, NULL::text, NULL::text, NULL::text,
       NULL::numeric, NULL::numeric, NULL::numeric
FROM public.external_orders o LEFT JOIN jobhost.exchange_order_syncs s ON s.order_id = o.id::text
WHERE :exchange = 'binance' AND o.status IN ('PENDING', 'NEW', 'PARTIALLY_FILLED') AND o.external_order_id IS NOT NULL
  AND coalesce(o.last_synced_at, 'epoch') <= to_timestamp(:synced_before / 1000.0) AND coalesce(s.next_sync_ms, 0) <= :now
ORDER BY o.last_synced_at NULLS FIRST, o.id LIMIT :limit
