-- Of a market that begins anew.
-- in:  :pair INTEGER
DELETE FROM candles WHERE pair_id = :pair
