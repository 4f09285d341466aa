-- Records that an entrant was paid, once.
-- in:  :competition, :account, :payout TEXT (as it was read), :now INTEGER
-- 1: done, 0: somebody was faster
UPDATE participants SET settled_ms = :now
WHERE competition_id = :competition AND account_id = :account AND settled_ms IS NULL AND payout = :payout
