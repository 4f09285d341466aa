-- One account, as accounts.
-- in:  :account INTEGER
SELECT a.id, a.name, a.currency, a.wallet_id, w.available, w.locked
FROM accounts a JOIN wallets w ON w.id = a.wallet_id
WHERE a.status = 'active' AND a.id = :account
