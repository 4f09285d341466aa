-- Marks a deposit as credited, if it is still what was read.
-- in:  :id TEXT, :version INTEGER, :block_hash TEXT, :reason TEXT, :now INTEGER
-- 1: done, 0: somebody was faster
UPDATE deposits SET status = 'CREDITED', reason = :reason, credited_ms = :now, version = version + 1
WHERE id = :id AND status = 'CONFIRMED' AND version = :version AND block_hash = :block_hash
