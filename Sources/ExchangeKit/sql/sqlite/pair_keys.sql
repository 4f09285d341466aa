-- The numbers of pairs that a platform knows by something else than a number.
-- out: id INTEGER, key TEXT
SELECT id, key FROM pair_keys
