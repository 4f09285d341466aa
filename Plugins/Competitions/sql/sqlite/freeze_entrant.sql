-- Records an entrant's equity at the end, once.
-- in:  :competition, :account, :equity TEXT, :transferred TEXT
-- 1: done, 0: somebody was faster, or the contest is not ending any more
UPDATE participants SET final_equity = :equity, transferred = :transferred
WHERE competition_id = :competition AND account_id = :account AND final_equity IS NULL
  AND EXISTS (SELECT 1 FROM competitions WHERE id = :competition AND status = 'ending')
