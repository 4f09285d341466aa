-- Forgets all candles of an interval: it is made anew from the 1m candles.
-- in:  :interval TEXT
DELETE FROM candles WHERE interval = :interval
