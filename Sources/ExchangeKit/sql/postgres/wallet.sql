-- A wallet's money; it stands still until the transaction ends.
-- in:  :id bigint
-- out: currency text, available numeric, locked numeric, may_be_negative bigint (0, 1)
SELECT currency, available, locked, may_be_negative FROM wallets WHERE id = :id FOR UPDATE
