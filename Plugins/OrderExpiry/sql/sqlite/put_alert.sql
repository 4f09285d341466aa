-- Notes that an alert was given for a request.
-- in:  :id TEXT, :asks INTEGER (which request), :now INTEGER
-- 1: done, 0: there was one already
UPDATE order_expiries SET alerted_ms = :now
WHERE order_id = :id AND state = 'requested' AND asks = :asks AND alerted_ms IS NULL
