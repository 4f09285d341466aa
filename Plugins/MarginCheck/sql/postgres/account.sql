-- One account, as accounts. Its balance stands still, and nobody adds a position, until the
-- transaction ends.
-- in:  :account bigint
-- rights: UPDATE accounts (id)
SELECT a.id, a.name, a.currency, a.wallet_id, w.available, w.locked
FROM accounts a JOIN wallets w ON w.id = a.wallet_id
WHERE a.status = 'active' AND a.id = :account
FOR UPDATE OF a, w
