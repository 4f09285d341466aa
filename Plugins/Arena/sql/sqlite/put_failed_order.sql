-- An order that an exchange has given up.
-- in:  :exchange TEXT, :client TEXT, :pair INTEGER, :side TEXT, :price TEXT, :quantity TEXT, :executed TEXT, :now INTEGER
INSERT INTO exchange_orders (exchange, client_id, pair_id, side, price, quantity, executed, status, placed_ms, last_synced_ms)
VALUES (:exchange, :client, :pair, :side, :price, :quantity, :executed, 'expired', :now, :now)
ON CONFLICT (exchange, client_id) DO NOTHING
