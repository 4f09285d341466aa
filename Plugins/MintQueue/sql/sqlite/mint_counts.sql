-- Mints by status, with the oldest change in each.
-- out: status TEXT, count INTEGER, oldest_ms INTEGER
SELECT status, count(*), min(updated_ms) FROM mint_requests GROUP BY status ORDER BY status
