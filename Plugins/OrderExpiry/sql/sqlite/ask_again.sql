-- Forgets a refusal and asks once more.
-- in:  :id TEXT, :asks INTEGER (how often until now), :now INTEGER
-- 1: done, 0: somebody was faster
UPDATE order_expiries
SET asks = asks + 1, asked_ms = :now, alerted_ms = NULL, answer = NULL, final_filled = NULL, reason = NULL, answered_ms = NULL
WHERE order_id = :id AND state = 'requested' AND asks = :asks AND answer = 'refused'
