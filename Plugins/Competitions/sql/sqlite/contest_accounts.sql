-- The accounts of a contest's entrants, as they are now.
-- in:  :competition
-- out: account_id, currency TEXT, wallet_id INTEGER, available TEXT, locked TEXT
SELECT a.id, a.currency, a.wallet_id, w.available, w.locked
FROM participants p JOIN accounts a ON a.id = p.account_id JOIN wallets w ON w.id = a.wallet_id
WHERE p.competition_id = :competition
