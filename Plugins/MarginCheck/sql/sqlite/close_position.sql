-- Closes a position, if it is still what was read. realised: over all its closings.
-- in:  :position INTEGER, :version INTEGER, :price TEXT, :realised TEXT, :now INTEGER
-- 1: closed, 0: the application was faster
UPDATE positions
SET status = 'closed', close_price = :price, realised = :realised, changed_ms = :now, closed_ms = :now,
    version = version + 1
WHERE id = :position AND status = 'open' AND version = :version
