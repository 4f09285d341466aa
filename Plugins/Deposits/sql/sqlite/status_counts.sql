-- How many deposits of each chain are in each status.
-- out: chain TEXT, status TEXT, count INTEGER
SELECT chain, status, count(*) FROM deposits GROUP BY chain, status ORDER BY chain, status
