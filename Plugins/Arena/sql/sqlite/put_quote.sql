-- A price.
-- in:  :pair INTEGER, :now INTEGER, :bid TEXT, :ask TEXT
INSERT INTO quotes (pair_id, ts_ms, bid, ask) VALUES (:pair, :now, :bid, :ask)
