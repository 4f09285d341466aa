-- Moves a simulation on, unless somebody else did.
-- in:  :name TEXT, :old_ticks INTEGER, :epoch INTEGER, and the new columns by name
-- 1: done, 0: somebody was faster
UPDATE simulations
SET ticks = :ticks, clock_ms = :clock_ms, owner = :owner, ticked_ms = :ticked_ms, cause = :cause, file = :file,
    file_offset = :file_offset, file_line = :file_line, finished = :finished
WHERE name = :name AND ticks = :old_ticks AND epoch = :epoch
