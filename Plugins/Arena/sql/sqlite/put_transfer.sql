-- What a transaction moves.
-- in:  :chain TEXT, :hash TEXT, :ordinal INTEGER (0: the native coin), :address TEXT, :token TEXT, :units TEXT
INSERT INTO paper_transfers (chain, tx_hash, ordinal, address, token, units)
VALUES (:chain, :hash, :ordinal, :address, :token, :units)
