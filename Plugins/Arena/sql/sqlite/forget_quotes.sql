-- Prices of simulated pairs that nobody looks back to any more.
-- in:  :before INTEGER
DELETE FROM quotes WHERE ts_ms < :before AND pair_id IN (SELECT id FROM pairs WHERE simulation IS NOT NULL)
