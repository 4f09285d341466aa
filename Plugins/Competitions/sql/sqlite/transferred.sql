-- What was paid into (or, negative, out of) the accounts during a contest: no result of trading.
-- in:  :competition, :at INTEGER (the end, inclusive)
-- out: account_id, amount TEXT
SELECT a.id, e.amount
FROM participants p JOIN accounts a ON a.id = p.account_id
JOIN ledger_entries e ON e.wallet_id = a.wallet_id JOIN ledger_causes c ON c.cause = e.cause
WHERE p.competition_id = :competition AND c.created_ms > p.start_ms AND c.created_ms <= :at
  AND c.kind IN ('deposit', 'withdrawal', 'transfer', 'entry', 'prize', 'refund')
