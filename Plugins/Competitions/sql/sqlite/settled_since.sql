-- How many entrants were paid since an instant.
-- in:  :since INTEGER
-- out: INTEGER
SELECT count(*) FROM participants WHERE settled_ms >= :since
