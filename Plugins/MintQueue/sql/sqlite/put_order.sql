-- An order that is about to be placed: no placed_ms says that the exchange has not confirmed it.
-- in:  :exchange TEXT, :client TEXT, :pair INTEGER, :side TEXT, :price TEXT, :quantity TEXT
-- 1: done, 0: it is there
INSERT INTO exchange_orders (exchange, client_id, pair_id, side, price, quantity, status)
VALUES (:exchange, :client, :pair, :side, :price, :quantity, 'pending') ON CONFLICT (exchange, client_id) DO NOTHING
