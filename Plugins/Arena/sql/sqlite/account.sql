-- An account by its name.
-- in:  :name TEXT
-- out: id INTEGER, wallet_id INTEGER, balance TEXT
SELECT a.id, a.wallet_id, w.available FROM accounts a JOIN wallets w ON w.id = a.wallet_id WHERE a.name = :name
