-- One leg of a cause.
-- in:  :cause TEXT, :wallet INTEGER, :bucket TEXT (available, locked), :amount TEXT
INSERT INTO ledger_entries (cause, wallet_id, bucket, amount) VALUES (:cause, :wallet, :bucket, :amount)
