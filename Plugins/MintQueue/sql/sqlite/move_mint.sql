-- Moves a mint on, if it is still what was read.
-- in:  :cause TEXT, :version INTEGER, :status TEXT, :attempts INTEGER, :reference TEXT or NULL, :reason TEXT, :now INTEGER
-- 1: done, 0: somebody was faster
UPDATE mint_requests
SET status = :status, sent_ms = CASE WHEN :attempts > attempts THEN :now ELSE sent_ms END, attempts = :attempts,
    reference = :reference, reason = :reason, updated_ms = :now, version = version + 1
WHERE cause = :cause AND version = :version
