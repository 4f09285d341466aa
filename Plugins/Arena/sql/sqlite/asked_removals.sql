-- Orders of a simulation whose removal was asked for and not answered.
-- in:  :simulation TEXT
-- out: order_id TEXT, filled TEXT
SELECT e.order_id, o.filled
FROM order_expiries e JOIN orders o ON o.id = CAST(e.order_id AS BIGINT) JOIN pairs p ON p.id = o.pair_id
WHERE e.state = 'requested' AND e.answer IS NULL AND p.simulation = :simulation
ORDER BY e.asked_ms, e.order_id LIMIT 500
