-- Writes a wallet's money, if it is still what was read.
-- in:  :id INTEGER, :available TEXT, :locked TEXT, :old_available TEXT, :old_locked TEXT
-- 1: done, 0: somebody was faster
UPDATE wallets SET available = :available, locked = :locked
WHERE id = :id AND available = :old_available AND locked = :old_locked
