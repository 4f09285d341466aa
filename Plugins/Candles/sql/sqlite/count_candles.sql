-- How many candles a pair has in [from, to), and when its first one opened.
-- in:  :pair INTEGER, :interval TEXT, :from INTEGER, :to INTEGER
-- out: count INTEGER, first_ms INTEGER or NULL
SELECT (SELECT count(*) FROM candles
        WHERE pair_id = :pair AND interval = :interval AND open_ms >= :from AND open_ms < :to),
       (SELECT min(open_ms) FROM candles WHERE pair_id = :pair AND interval = :interval)
