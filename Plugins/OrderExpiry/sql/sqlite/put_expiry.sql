-- Notes what became of an order: expired at once, or its removal asked for.
-- in:  :id TEXT, :state TEXT (requested, expired), :asked_ms INTEGER or NULL, :asks INTEGER (0, 1),
--      :released TEXT or NULL, :ended_ms INTEGER or NULL, :now INTEGER
INSERT INTO order_expiries (order_id, state, acted_ms, asks, asked_ms, released, ended_ms)
VALUES (:id, :state, :now, :asks, :asked_ms, :released, :ended_ms)
ON CONFLICT (order_id) DO UPDATE
SET state = excluded.state, acted_ms = excluded.acted_ms, asks = order_expiries.asks + excluded.asks, asked_ms = excluded.asked_ms,
    alerted_ms = NULL, answer = NULL, final_filled = NULL, reason = NULL, answered_ms = NULL,
    released = excluded.released, ended_ms = excluded.ended_ms
