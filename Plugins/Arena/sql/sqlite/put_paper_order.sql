-- The same order, as the other exchange has it.
-- in:  :client_id TEXT
INSERT INTO paper_orders (exchange_id, client_id, status) VALUES ('P-' || :client_id, :client_id, 'new')
