-- Whether the ledger knows a wallet.
-- in:  :wallet bigint
-- out: known bigint (0, 1)
SELECT EXISTS (SELECT 1 FROM ledger_entries WHERE wallet_id = :wallet)::int::bigint AS known
