-- The paper gateway takes an order, once.
-- in:  :client TEXT, :symbol TEXT, :side TEXT, :price TEXT, :quantity TEXT, :executed TEXT, :status TEXT
INSERT INTO paper_placements (client_id, symbol, side, price, quantity, executed, status)
VALUES (:client, :symbol, :side, :price, :quantity, :executed, :status) ON CONFLICT (client_id) DO NOTHING
