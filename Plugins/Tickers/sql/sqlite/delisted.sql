-- Pairs that are not traded any more and still have a window or a ticker.
-- out: id INTEGER
SELECT id FROM pairs
WHERE active = 0
  AND (EXISTS (SELECT 1 FROM ticker_windows w WHERE w.pair_id = pairs.id) OR EXISTS (SELECT 1 FROM tickers t WHERE t.pair_id = pairs.id))
