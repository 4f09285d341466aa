-- The engine's answer: the order is out of the book, this much of it was ever filled.
-- in:  :id TEXT, :filled TEXT, :now INTEGER
UPDATE order_expiries SET answer = 'removed', final_filled = :filled, answered_ms = :now
WHERE order_id = :id AND state = 'requested' AND answer IS NULL
