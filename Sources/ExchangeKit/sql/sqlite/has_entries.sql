-- Whether the ledger knows a wallet.
-- in:  :wallet INTEGER
-- out: known INTEGER (0, 1)
SELECT EXISTS (SELECT 1 FROM ledger_entries WHERE wallet_id = :wallet) AS known
