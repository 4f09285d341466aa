-- When the next contest is over.
-- in:  :kind TEXT
-- out: ends_ms INTEGER or NULL
SELECT min(ends_ms) FROM competitions WHERE kind = :kind AND status NOT IN ('ended', 'refunded')
