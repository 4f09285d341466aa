-- A candidate that is none any more.
-- in:  :pair INTEGER, :kind TEXT, :ts_ms INTEGER, :id INTEGER
DELETE FROM ticker_extremes WHERE pair_id = :pair AND kind = :kind AND ts_ms = :ts_ms AND id = :id
