-- A trade, once.
-- in:  :pair INTEGER, :id INTEGER, :ts_ms INTEGER, :side TEXT (buy, sell), :price TEXT, :amount TEXT
-- 1: new, 0: it is there already
INSERT INTO trades (pair_id, id, ts_ms, side, price, amount) VALUES (:pair, :id, :ts_ms, :side, :price, :amount)
ON CONFLICT (pair_id, id) DO NOTHING
