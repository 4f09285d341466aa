-- in:  :since INTEGER
-- out: count INTEGER
SELECT count(*) FROM reconciliations WHERE created_ms > :since
