-- Of a market that begins anew.
-- in:  :pair INTEGER
DELETE FROM ticker_windows WHERE pair_id = :pair
