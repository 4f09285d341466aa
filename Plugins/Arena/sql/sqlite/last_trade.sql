-- A pair's newest trade, as a snapshot keeps it.
-- in:  :pair INTEGER
-- out: id INTEGER, ts_ms INTEGER, side TEXT (buy, sell), price TEXT, amount TEXT
SELECT id, ts_ms, side, price, amount FROM trades WHERE pair_id = :pair ORDER BY id DESC LIMIT 1
