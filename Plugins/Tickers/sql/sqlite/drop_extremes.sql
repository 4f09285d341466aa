-- Candidates that have left the window.
-- in:  :pair INTEGER, :kind TEXT, :before INTEGER
DELETE FROM ticker_extremes WHERE pair_id = :pair AND kind = :kind AND ts_ms < :before
