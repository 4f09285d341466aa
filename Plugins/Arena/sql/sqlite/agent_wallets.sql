-- What an owner has.
-- in:  :owner TEXT
-- out: id INTEGER, currency TEXT, available TEXT
SELECT id, currency, available FROM wallets WHERE owner = :owner ORDER BY currency
