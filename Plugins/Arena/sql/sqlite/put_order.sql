-- A new order.
-- in:  :owner TEXT, :pair INTEGER, :side TEXT (buy, sell), :price TEXT, :amount TEXT, :locked TEXT,
--      :now INTEGER, :expires_ms INTEGER
-- out: id INTEGER
INSERT INTO orders (owner, pair_id, side, price, amount, locked, status, created_ms, expires_ms)
VALUES (:owner, :pair, :side, :price, :amount, :locked, 'open', :now, :expires_ms)
RETURNING id
