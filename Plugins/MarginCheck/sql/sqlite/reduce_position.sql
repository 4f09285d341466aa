-- Closes a part of a position, if it is still what was read.
-- in:  :position INTEGER, :version INTEGER, :size TEXT (what remains), :realised TEXT, :now INTEGER
-- 1: reduced, 0: the application was faster
UPDATE positions SET size = :size, realised = :realised, changed_ms = :now, version = version + 1
WHERE id = :position AND status = 'open' AND version = :version
