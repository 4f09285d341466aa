-- How many trades have come since.
-- in:  :after bigint (a transaction)
-- out: count bigint
SELECT count(*) FROM trades WHERE tx > :after
