-- A simulation by name.
-- in:  :name TEXT
-- out: mode TEXT, seed INTEGER, ticks INTEGER, clock_ms INTEGER, owner TEXT, ticked_ms INTEGER,
--      cause TEXT, file TEXT, file_offset INTEGER, file_line INTEGER, finished INTEGER (0, 1)
SELECT mode, seed, ticks, clock_ms, owner, ticked_ms, cause, file, file_offset, file_line, finished
FROM simulations WHERE name = :name
