-- A pair that is not traded any more has no ticker.
-- in:  :pair INTEGER
DELETE FROM tickers WHERE pair_id = :pair
