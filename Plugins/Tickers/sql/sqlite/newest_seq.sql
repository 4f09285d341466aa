-- How far one can read.
-- out: seq INTEGER (0: there are no trades)
SELECT coalesce(max(seq), 0) FROM trades
