-- Records an entrant's equity at the end, once.
-- in:  :competition, :account, :equity TEXT, :transferred TEXT
-- 1: done, 0: somebody was faster
UPDATE participants SET final_equity = :equity, transferred = :transferred
WHERE competition_id = :competition AND account_id = :account AND final_equity IS NULL
