-- Ends a request: the order is expired, or the application has ended it otherwise.
-- in:  :id TEXT, :state TEXT (expired, left), :released TEXT, :now INTEGER
-- 1: done, 0: it was ended before
UPDATE order_expiries SET state = :state, released = :released, ended_ms = :now
WHERE order_id = :id AND state = 'requested'
