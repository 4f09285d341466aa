-- How many orders were placed again since an instant.
-- in:  :since INTEGER
-- out: count INTEGER
SELECT count(*) FROM replacements WHERE created_ms >= :since
