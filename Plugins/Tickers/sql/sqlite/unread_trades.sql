-- How many trades have come since.
-- in:  :after INTEGER (a seq)
-- out: count INTEGER
SELECT count(*) FROM trades WHERE seq > :after
