-- For the reconciler (the statement due_orders), of a platform's own table:
--
--   external_orders (id TEXT, symbol TEXT, external_order_id TEXT, status TEXT, executed_qty INTEGER,
--                    avg_price TEXT, last_synced_at TEXT)
--
-- executed_qty counts units of 10⁻⁸: SQLite's own arithmetic is binary, amount_of and units_of are
-- exact. Its words for statuses are in the setting status_map, the column has to be called status.
-- in:  :exchange, :synced_before, :now, :limit
-- out: as our due_orders; without an owner no money is settled here
SELECT o.id, o.symbol, o.external_order_id, NULL, o.status AS status, amount_of(o.executed_qty, 8), NULL, o.avg_price, '',
       coalesce(s.failures, 0), coalesce(s.not_found, 0), NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM external_orders o LEFT JOIN exchange_order_syncs s ON s.order_id = o.id
WHERE :exchange = 'binance' AND o.status IN ('PENDING', 'NEW', 'PARTIALLY_FILLED') AND o.external_order_id IS NOT NULL
  AND coalesce(unixepoch(o.last_synced_at), 0) * 1000 <= :synced_before AND coalesce(s.next_sync_ms, 0) <= :now
ORDER BY o.last_synced_at IS NOT NULL, o.last_synced_at, o.id LIMIT :limit
