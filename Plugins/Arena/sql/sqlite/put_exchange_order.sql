-- A new order at the other exchange, whose money is locked.
-- in:  :client_id TEXT, :owner TEXT, :pair INTEGER, :side TEXT (buy, sell), :price TEXT, :quantity TEXT,
--      :locked TEXT, :now INTEGER
-- out: id INTEGER
INSERT INTO exchange_orders (exchange, client_id, exchange_id, owner, pair_id, side, price, quantity, locked, status, placed_ms)
VALUES ('paper', :client_id, 'P-' || :client_id, :owner, :pair, :side, :price, :quantity, :locked, 'new', :now)
RETURNING id
