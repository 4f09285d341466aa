-- Writes what the chain says of a deposit, if it is still what was read.
-- in:  :id TEXT, :version INTEGER, :old_status TEXT, :status TEXT, :block INTEGER or NULL, :block_hash TEXT or NULL,
--      :confirmations INTEGER, :reason TEXT, :verified INTEGER (0, 1), :watched INTEGER (0, 1),
--      :missing_ms INTEGER or NULL, :now INTEGER
-- 1: done, 0: somebody was faster
UPDATE deposits
SET status = :status, block = :block, block_hash = :block_hash, confirmations = :confirmations, reason = :reason,
    verified = :verified, watched = :watched, missing_ms = :missing_ms, version = version + 1,
    confirmed_ms = CASE WHEN :status = 'CONFIRMED' AND status <> 'CONFIRMED' THEN :now ELSE confirmed_ms END
WHERE id = :id AND version = :version AND status = :old_status
