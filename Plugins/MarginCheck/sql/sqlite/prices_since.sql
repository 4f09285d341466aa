-- All prices of a pair since an instant.
-- in:  :pair INTEGER, :since INTEGER
-- out: bid TEXT, ask TEXT
SELECT bid, ask FROM quotes WHERE pair_id = :pair AND ts_ms >= :since
