-- Moves a contest on, if it is still what was read.
-- in:  :competition, :version INTEGER, :status TEXT, :pot TEXT or NULL
-- 1: done, 0: somebody was faster
UPDATE competitions SET status = :status, pot = :pot, version = version + 1
WHERE id = :competition AND version = :version
