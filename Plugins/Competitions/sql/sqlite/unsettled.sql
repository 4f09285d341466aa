-- Whom a contest still has to pay.
-- in:  :competition
-- out: account_id, name TEXT, wallet_id INTEGER, payout TEXT
SELECT p.account_id, a.name, p.wallet_id, p.payout
FROM participants p JOIN accounts a ON a.id = p.account_id
WHERE p.competition_id = :competition AND p.payout IS NOT NULL AND p.settled_ms IS NULL
ORDER BY p.place, p.account_id
