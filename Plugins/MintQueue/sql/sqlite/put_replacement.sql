-- Takes a client order id for ever.
-- in:  :exchange TEXT, :client TEXT, :original TEXT, :trade TEXT, :quantity TEXT, :now INTEGER
-- 1: taken, 0: it was taken before
INSERT INTO replacements (exchange, client_id, original, trade_id, quantity, created_ms)
VALUES (:exchange, :client, :original, :trade, :quantity, :now) ON CONFLICT (exchange, client_id) DO NOTHING
