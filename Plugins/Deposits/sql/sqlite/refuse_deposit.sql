-- Takes a deposit out of crediting, if it is still what was read.
-- in:  :id TEXT, :version INTEGER, :status TEXT (HELD, FAILED), :reason TEXT
-- 1: done, 0: somebody was faster
UPDATE deposits SET status = :status, reason = :reason, watched = CASE :status WHEN 'HELD' THEN 1 ELSE 0 END, version = version + 1
WHERE id = :id AND status = 'CONFIRMED' AND version = :version
