-- A pair's newest trade.
-- in:  :pair INTEGER
-- out: id INTEGER, price TEXT
SELECT id, price FROM trades WHERE pair_id = :pair ORDER BY id DESC LIMIT 1
