-- With engine = "database" nothing waits for an engine's answer.
-- in:  :after_ms, :after_id, :limit
-- out: as due_orders, then status, asks, asked_ms, alerted_ms, answer, final_filled, reason, answered_ms
SELECT e.order_id, '' AS owner, '' AS symbol, '' AS currency, '' AS side, 0 AS price, 0 AS amount, 0 AS filled, 0 AS locked, 0 AS fee,
       0 AS fee_charged, '' AS version, 0 AS expires_ms, '' AS status, e.asks, e.asked_ms, e.alerted_ms, e.answer, e.final_filled,
       e.reason, e.answered_ms
FROM jobhost.order_expiries e WHERE false
