-- A wallet's money; it stands still until the transaction ends. And whether the ledger knows it: 0 may be old
-- where this had to wait for the row.
-- in:  :id bigint
-- out: currency text, available numeric, locked numeric, may_be_negative bigint (0, 1), known bigint (0, 1)
SELECT currency, available, locked, may_be_negative,
       EXISTS (SELECT 1 FROM ledger_entries WHERE wallet_id = :id)::int::bigint
FROM wallets WHERE id = :id FOR UPDATE
