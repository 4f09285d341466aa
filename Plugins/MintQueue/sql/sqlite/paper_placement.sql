-- What the paper gateway knows of an order.
-- in:  :client TEXT
-- out: status TEXT, executed TEXT
SELECT status, executed FROM paper_placements WHERE client_id = :client
