-- Accounts that have something to watch: active, with an open position.
-- out: id INTEGER, name TEXT, currency TEXT, wallet_id INTEGER, available TEXT, locked TEXT
SELECT a.id, a.name, a.currency, a.wallet_id, w.available, w.locked
FROM accounts a JOIN wallets w ON w.id = a.wallet_id
WHERE a.status = 'active'
  AND EXISTS (SELECT 1 FROM positions p WHERE p.account_id = a.id AND p.status = 'open')
ORDER BY a.id
