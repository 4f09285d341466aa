-- How far a contest's entrants are.
-- in:  :competition
-- out: entrants INTEGER, without final equity INTEGER, with a payout that was not paid INTEGER
SELECT count(*), count(*) - count(final_equity), count(payout) - count(settled_ms)
FROM participants WHERE competition_id = :competition
