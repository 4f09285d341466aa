-- Contests that are over, or were cancelled, and are not settled; the oldest first.
-- in:  :kind TEXT (competition, challenge), :due INTEGER
-- out: id
SELECT id FROM competitions
WHERE kind = :kind AND status NOT IN ('ended', 'refunded') AND (ends_ms <= :due OR status = 'refunding')
ORDER BY ends_ms, id
