-- How many closings were done or asked for since an instant.
-- in:  :since INTEGER
-- out: count INTEGER
SELECT count(*) FROM liquidations WHERE created_ms >= :since
