-- Tickers that are as they were are valid for longer.
-- in:  :valid_until INTEGER
UPDATE tickers SET valid_until_ms = :valid_until
WHERE valid_until_ms <> :valid_until
  AND pair_id IN (SELECT w.pair_id FROM ticker_windows w JOIN pairs p ON p.id = w.pair_id WHERE p.active = 1)
