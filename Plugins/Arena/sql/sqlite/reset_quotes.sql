-- Of a market that begins anew; contests that are to be settled keep the prices of their end.
-- in:  :pair INTEGER
DELETE FROM quotes
WHERE pair_id = :pair AND ts_ms < coalesce((SELECT min(ends_ms) - 3600000 FROM competitions WHERE status NOT IN ('ended', 'refunded')),
    9223372036854775807)
