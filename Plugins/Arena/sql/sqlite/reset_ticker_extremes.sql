-- Of a market that begins anew.
-- in:  :pair INTEGER
DELETE FROM ticker_extremes WHERE pair_id = :pair
