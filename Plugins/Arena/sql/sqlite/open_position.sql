-- A new position.
-- in:  :account INTEGER, :pair INTEGER, :side TEXT (long, short), :size TEXT, :price TEXT, :leverage TEXT, :now INTEGER
INSERT INTO positions (account_id, pair_id, side, size, open_price, leverage, opened_ms)
VALUES (:account, :pair, :side, :size, :price, :leverage, :now)
