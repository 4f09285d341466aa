-- A wallet's money, and whether the ledger knows it.
-- in:  :id INTEGER
-- out: currency TEXT, available TEXT, locked TEXT, may_be_negative INTEGER (0, 1), known INTEGER (0, 1)
SELECT currency, available, locked, may_be_negative, EXISTS (SELECT 1 FROM ledger_entries WHERE wallet_id = :id)
FROM wallets WHERE id = :id
