-- Confirmed deposits that nobody has credited.
-- in:  :before INTEGER (confirmed before this instant)
-- out: count INTEGER, oldest_ms INTEGER or NULL
SELECT count(*), min(coalesce(confirmed_ms, created_ms)) FROM deposits
WHERE status = 'CONFIRMED' AND coalesce(confirmed_ms, created_ms) < :before
