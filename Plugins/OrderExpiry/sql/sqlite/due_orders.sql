-- Orders past their time, oldest first, from one place on: whoever (expires_ms, id) came last.
-- in:  :now INTEGER, :after_ms INTEGER, :after_id TEXT, :limit INTEGER
-- out: id TEXT, owner TEXT, symbol TEXT, currency TEXT (what it holds: quote of a buy, base of a
--      sell), side TEXT (buy, sell), price TEXT, amount TEXT, filled TEXT, locked TEXT, fee TEXT,
--      fee_charged TEXT, version TEXT, expires_ms INTEGER
SELECT o.id, o.owner, p.symbol, CASE o.side WHEN 'buy' THEN p.quote ELSE p.base END,
       o.side, o.price, o.amount, o.filled, o.locked, o.fee, o.fee_charged, o.version, o.expires_ms
FROM orders o JOIN pairs p ON p.id = o.pair_id
WHERE o.status IN ('open', 'partial') AND o.expires_ms <= :now AND (o.expires_ms, o.id) > (:after_ms, :after_id)
  AND NOT EXISTS (SELECT 1 FROM order_expiries e WHERE e.order_id = CAST(o.id AS TEXT) AND e.state = 'requested')
ORDER BY o.expires_ms, o.id LIMIT :limit
