-- Deposits that have come to no end, the oldest first.
-- in:  :before INTEGER (created before this instant), :limit INTEGER
-- out: id INTEGER or TEXT, chain TEXT, tx_hash TEXT, status TEXT, confirmations INTEGER, created_ms INTEGER, reason TEXT
SELECT id, chain, tx_hash, status, confirmations, created_ms, reason FROM deposits
WHERE status IN ('PENDING', 'CONFIRMING', 'CONFIRMED', 'HELD', 'REVERSAL_REQUIRED') AND created_ms < :before
ORDER BY created_ms, id LIMIT :limit
