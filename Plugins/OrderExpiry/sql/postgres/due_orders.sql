-- Orders past their time, oldest first, from one place on: whoever (expires_ms, id) came last.
-- in:  :now bigint, :after_ms bigint, :after_id text ('': from the beginning), :limit bigint
-- out: id bigint, owner text, symbol text, currency text (what it holds: quote of a buy, base of a
--      sell), side text (buy, sell), price numeric, amount numeric, filled numeric, locked numeric,
--      fee numeric, fee_charged numeric, version bigint, expires_ms bigint
SELECT o.id, o.owner, p.symbol, CASE o.side WHEN 'buy' THEN p.quote ELSE p.base END,
       o.side, o.price, o.amount, o.filled, o.locked, o.fee, o.fee_charged, o.version, o.expires_ms
FROM orders o JOIN pairs p ON p.id = o.pair_id
WHERE o.status IN ('open', 'partial') AND o.expires_ms <= :now
  AND (o.expires_ms, o.id) > (:after_ms, coalesce(nullif(:after_id::text, ''), '-1')::bigint)
  AND NOT EXISTS (SELECT 1 FROM order_expiries e WHERE e.order_id = o.id::text AND e.state = 'requested')
ORDER BY o.expires_ms, o.id LIMIT :limit
