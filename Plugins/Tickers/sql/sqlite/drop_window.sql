-- Forgets what is known of a pair: the next run makes it anew.
-- in:  :pair INTEGER
DELETE FROM ticker_windows WHERE pair_id = :pair
