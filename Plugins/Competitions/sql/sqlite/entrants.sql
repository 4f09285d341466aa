-- A contest's entrants.
-- in:  :competition
-- out: account_id, name TEXT, paid TEXT, start_equity TEXT, final_equity TEXT or NULL, transferred TEXT or NULL
SELECT p.account_id, a.name, p.paid, p.start_equity, p.final_equity, p.transferred
FROM participants p JOIN accounts a ON a.id = p.account_id
WHERE p.competition_id = :competition ORDER BY p.account_id
