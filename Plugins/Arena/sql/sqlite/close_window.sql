-- A trade window in which all have traded.
-- in:  :simulation TEXT, :opens_ms INTEGER, :trades INTEGER, :now INTEGER
-- 1: done, 0: somebody was faster
UPDATE simulation_windows SET state = 'traded', trades = :trades, changed_ms = :now
WHERE simulation = :simulation AND opens_ms = :opens_ms AND state = 'open'
