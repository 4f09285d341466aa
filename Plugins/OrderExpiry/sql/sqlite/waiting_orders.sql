-- Orders whose removal was asked for, the oldest request first, from one place on.
-- in:  :after_ms INTEGER, :after_id TEXT (of the last request: asked_ms, order_id), :limit INTEGER
-- out: as due_orders, then status TEXT, asks INTEGER, asked_ms INTEGER, alerted_ms INTEGER or NULL,
--      answer TEXT or NULL (removed, refused), final_filled TEXT or NULL, reason TEXT or NULL,
--      answered_ms INTEGER or NULL
SELECT e.order_id, o.owner, p.symbol, CASE o.side WHEN 'buy' THEN p.quote ELSE p.base END,
       o.side, o.price, o.amount, o.filled, o.locked, o.fee, o.fee_charged, o.version, o.expires_ms,
       o.status, e.asks, e.asked_ms, e.alerted_ms, e.answer, e.final_filled, e.reason, e.answered_ms
FROM order_expiries e JOIN orders o ON o.id = CAST(e.order_id AS BIGINT) JOIN pairs p ON p.id = o.pair_id
WHERE e.state = 'requested' AND (e.asked_ms, e.order_id) > (:after_ms, :after_id)
ORDER BY e.asked_ms, e.order_id LIMIT :limit
