-- Closes the candles of a pair that are over.
-- in:  :pair INTEGER, :interval TEXT, :now INTEGER
UPDATE candles SET closed = 1
WHERE pair_id = :pair AND interval = :interval AND closed = 0 AND close_ms <= :now
