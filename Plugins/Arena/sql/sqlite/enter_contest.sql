-- A new entrant, who has paid.
-- in:  :competition INTEGER, :account INTEGER, :wallet INTEGER, :paid TEXT, :equity TEXT, :now INTEGER
INSERT INTO participants (competition_id, account_id, wallet_id, paid, start_equity, start_ms)
VALUES (:competition, :account, :wallet, :paid, :equity, :now)
