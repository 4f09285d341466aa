-- A wallet's money.
-- in:  :id INTEGER
-- out: currency TEXT, available TEXT, locked TEXT, may_be_negative INTEGER (0, 1)
SELECT currency, available, locked, may_be_negative FROM wallets WHERE id = :id
