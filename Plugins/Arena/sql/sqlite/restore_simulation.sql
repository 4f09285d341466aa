-- Gives a simulation another state: a new beginning, or that of a snapshot.
-- in:  :name TEXT, :old_epoch INTEGER, and the new columns by name
-- 1: done, 0: somebody was faster
UPDATE simulations
SET seed = :seed, ticks = :ticks, first_tick = :first_tick, epoch = :epoch, clock_ms = :clock_ms, owner = '', ticked_ms = 0,
    cause = :cause, file = :file, file_offset = :file_offset, file_line = :file_line, finished = :finished
WHERE name = :name AND epoch = :old_epoch
