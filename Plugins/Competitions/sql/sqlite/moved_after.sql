-- What moved in the accounts' wallets after an instant. (Opening entries move nothing: the wallet
-- was there before the ledger.)
-- in:  :competition, :at INTEGER
-- out: account_id, amount TEXT
SELECT a.id, e.amount
FROM ledger_causes c JOIN ledger_entries e ON e.cause = c.cause
JOIN accounts a ON a.wallet_id = e.wallet_id
JOIN participants p ON p.account_id = a.id AND p.competition_id = :competition
WHERE c.created_ms > :at AND c.kind <> 'opening'
