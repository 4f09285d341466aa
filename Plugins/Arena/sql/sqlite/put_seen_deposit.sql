-- A deposit as a listener writes it when it sees the transaction.
-- in:  :wallet INTEGER, :chain TEXT, :hash TEXT, :ordinal INTEGER, :address TEXT, :token TEXT, :units TEXT, :amount TEXT,
--      :now INTEGER
INSERT INTO deposits (wallet_id, chain, tx_hash, ordinal, address, token, units, amount, status, created_ms)
VALUES (:wallet, :chain, :hash, :ordinal, :address, :token, :units, :amount, 'PENDING', :now)
