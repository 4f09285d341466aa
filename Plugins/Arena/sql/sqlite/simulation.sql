-- A simulation by name.
-- in:  :name TEXT
-- out: mode TEXT, seed INTEGER, ticks INTEGER, clock_ms INTEGER, owner TEXT, ticked_ms INTEGER,
--      cause TEXT, file TEXT, file_offset INTEGER, file_line INTEGER, finished INTEGER (0, 1),
--      first_tick INTEGER, epoch INTEGER
SELECT mode, seed, ticks, clock_ms, owner, ticked_ms, cause, file, file_offset, file_line, finished, first_tick, epoch
FROM simulations WHERE name = :name
