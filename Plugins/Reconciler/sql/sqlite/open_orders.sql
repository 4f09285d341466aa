-- Orders placed on an exchange that are not final.
-- in:  :exchange TEXT, :synced_before INTEGER
-- out: count INTEGER, overdue INTEGER (not asked for since), oldest_ms INTEGER or NULL (of these: when it
--      was, or when the order was placed)
SELECT count(*), count(*) FILTER (WHERE coalesce(last_synced_ms, placed_ms) < :synced_before),
       min(CASE WHEN coalesce(last_synced_ms, placed_ms) < :synced_before THEN coalesce(last_synced_ms, placed_ms) END)
FROM exchange_orders
WHERE exchange = :exchange AND status IN ('pending', 'new', 'partial') AND placed_ms IS NOT NULL
