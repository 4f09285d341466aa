-- How far a contest's entrants are.
-- in:  :competition
-- out: entrants INTEGER, without final equity INTEGER, with a payout that was not paid INTEGER, paid INTEGER,
--      last place INTEGER or NULL (nobody has one)
SELECT count(*), count(*) - count(final_equity), count(payout) - count(settled_ms), count(settled_ms), max(place)
FROM participants WHERE competition_id = :competition
