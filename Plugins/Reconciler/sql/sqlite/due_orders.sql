-- Orders placed on an exchange, not final, not synced lately: never synced first, then oldest first.
-- in:  :exchange TEXT, :synced_before INTEGER (ms), :now INTEGER (ms), :limit INTEGER
-- out: id TEXT, symbol TEXT (as the exchange writes it), exchange_id TEXT or NULL, client_id TEXT
--      or NULL (one of the two is there), status TEXT (pending, new, partial), executed TEXT,
--      quantity TEXT or NULL, average_price TEXT or NULL, version TEXT (for the
--      compare-and-set), failures INTEGER, not_found INTEGER, owner TEXT or NULL (nothing is
--      settled), side TEXT (buy, sell) or NULL, base TEXT, quote TEXT, settled TEXT,
--      settled_quote TEXT, locked TEXT (these five: NULL without owner)
SELECT o.id, replace(p.symbol, '/', ''), o.exchange_id, o.client_id, o.status, o.executed, o.quantity, o.average_price,
       o.version, coalesce(s.failures, 0), coalesce(s.not_found, 0), o.owner, o.side, p.base, p.quote, o.settled,
       o.settled_quote, o.locked
FROM exchange_orders o JOIN pairs p ON p.id = o.pair_id
    LEFT JOIN exchange_order_syncs s ON s.order_id = CAST(o.id AS TEXT)
WHERE o.exchange = :exchange AND o.status IN ('pending', 'new', 'partial') AND o.placed_ms IS NOT NULL
  AND coalesce(o.last_synced_ms, 0) <= :synced_before AND coalesce(s.next_sync_ms, 0) <= :now
ORDER BY coalesce(o.last_synced_ms, 0), o.id LIMIT :limit
