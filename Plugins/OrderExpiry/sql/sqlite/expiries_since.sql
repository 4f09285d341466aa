-- How many orders were expired, or asked to be removed, since an instant.
-- in:  :since INTEGER
-- out: count INTEGER
SELECT count(*) FROM order_expiries WHERE acted_ms >= :since
