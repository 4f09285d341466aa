-- What becomes of an order at the other exchange.
-- in:  :client_id TEXT, :status TEXT, :executed TEXT, :executed_quote TEXT
UPDATE paper_orders SET status = :status, executed = :executed, executed_quote = :executed_quote
WHERE client_id = :client_id
