-- Orders of a pair that nobody has filled, oldest first.
-- in:  :pair INTEGER
-- out: id INTEGER, owner TEXT, side TEXT, price TEXT, amount TEXT, locked TEXT, version INTEGER
SELECT id, owner, side, price, amount, locked, version FROM orders
WHERE pair_id = :pair AND status = 'open' ORDER BY id LIMIT 500
