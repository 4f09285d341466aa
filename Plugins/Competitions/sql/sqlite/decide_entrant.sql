-- Says what an entrant has reached and gets.
-- in:  :competition, :account, :place INTEGER or NULL, :return_percent TEXT or NULL, :payout TEXT or NULL
UPDATE participants SET place = :place, return_percent = :return_percent, payout = :payout
WHERE competition_id = :competition AND account_id = :account AND settled_ms IS NULL
