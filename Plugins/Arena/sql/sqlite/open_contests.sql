-- How many contests of a simulation are not settled.
-- in:  :prefix TEXT (of their names)
-- out: count INTEGER
SELECT count(*) FROM competitions
WHERE status NOT IN ('ended', 'refunded') AND substr(name, 1, length(:prefix)) = :prefix
