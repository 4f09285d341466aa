-- Everything a contest has paid or will pay to its entrants.
-- in:  :competition
-- out: payout TEXT
SELECT payout FROM participants WHERE competition_id = :competition AND payout IS NOT NULL
