-- Of a market that begins anew.
-- in:  :pair INTEGER
DELETE FROM tickers WHERE pair_id = :pair
