-- Active pairs for which something is to be done though nothing was traded: trades leave the
-- window or enter it because time has passed, the pair is new, its clock was set back, or all
-- is to be counted once more (one pair in each run).
-- in:  :now INTEGER, :length INTEGER (of the window), :built_before INTEGER
-- out: id INTEGER, rebuild INTEGER (0, 1)
SELECT p.id, w.pair_id IS NULL OR coalesce(p.clock_ms, :now) < w.until_ms - 60000 OR w.pair_id IS NOT DISTINCT FROM r.pair_id
FROM pairs p
LEFT JOIN ticker_windows w ON w.pair_id = p.id
LEFT JOIN (SELECT pair_id FROM ticker_windows WHERE built_ms < :built_before ORDER BY built_ms LIMIT 1) r ON TRUE
WHERE p.active = 1
  AND (w.pair_id IS NULL OR w.first_ms < coalesce(p.clock_ms, :now) - :length OR w.newest_ms >= w.until_ms
       OR coalesce(p.clock_ms, :now) < w.until_ms - 60000 OR w.pair_id = r.pair_id)
ORDER BY p.id
