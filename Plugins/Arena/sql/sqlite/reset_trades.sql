-- Of a market that begins anew.
-- in:  :pair INTEGER
DELETE FROM trades WHERE pair_id = :pair
