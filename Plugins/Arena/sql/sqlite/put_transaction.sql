-- A transaction that waits for a block.
-- in:  :chain TEXT, :hash TEXT
INSERT INTO paper_transactions (chain, hash) VALUES (:chain, :hash)
