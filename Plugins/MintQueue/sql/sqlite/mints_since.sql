-- How many mints were sent, or heard of, since an instant.
-- in:  :since INTEGER
-- out: count INTEGER
SELECT count(*) FROM mint_requests WHERE updated_ms >= :since AND attempts > 0
