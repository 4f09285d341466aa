-- A new candidate.
-- in:  :pair INTEGER, :kind TEXT, :ts_ms INTEGER, :id INTEGER, :price TEXT
INSERT INTO ticker_extremes (pair_id, kind, ts_ms, id, price) VALUES (:pair, :kind, :ts_ms, :id, :price)
ON CONFLICT (pair_id, kind, ts_ms, id) DO UPDATE SET price = excluded.price
