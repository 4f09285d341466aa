-- Prices of simulated pairs that nobody looks back to any more: no day's best price, no contest
-- that is to be settled on the prices of its end.
-- in:  :before INTEGER
DELETE FROM quotes
WHERE ts_ms < :before AND pair_id IN (SELECT id FROM pairs WHERE simulation IS NOT NULL)
  AND ts_ms < coalesce((SELECT min(ends_ms) - 3600000 FROM competitions WHERE status NOT IN ('ended', 'refunded')), :before)
