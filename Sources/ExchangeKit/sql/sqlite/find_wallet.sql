-- The wallet of an owner in a currency.
-- in:  :owner TEXT, :currency TEXT
-- out: id INTEGER
SELECT id FROM wallets WHERE owner = :owner AND currency = :currency
