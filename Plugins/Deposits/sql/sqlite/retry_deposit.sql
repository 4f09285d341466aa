-- Gives a deposit that ended, or is held, another chance; asked for by hand.
-- in:  :id TEXT
-- 1: done, 0: it is in none of these states
UPDATE deposits
SET status = CASE status WHEN 'HELD' THEN 'CONFIRMED' ELSE 'PENDING' END, reason = '', watched = 1, missing_ms = NULL,
    verified = CASE status WHEN 'HELD' THEN verified ELSE 0 END, version = version + 1
WHERE id = :id AND status IN ('HELD', 'FAILED', 'DROPPED', 'AMOUNT_UNSUPPORTED')
