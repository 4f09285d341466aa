-- The accounts of a simulation, with what they hold.
-- in:  :prefix TEXT (of their names)
-- out: id INTEGER, balance TEXT
SELECT a.id, w.available FROM accounts a JOIN wallets w ON w.id = a.wallet_id
WHERE a.status = 'active' AND substr(a.name, 1, length(:prefix)) = :prefix ORDER BY a.id
