-- What a simulation's other exchange says of an order.
-- in:  :exchange_id TEXT or NULL, :client_id TEXT or NULL
-- out: status TEXT, executed TEXT, executed_quote TEXT
SELECT status, executed, executed_quote FROM paper_orders
WHERE exchange_id = :exchange_id OR (CAST(:exchange_id AS TEXT) IS NULL AND client_id = :client_id)
