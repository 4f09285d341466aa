-- An account's oldest open position.
-- in:  :account INTEGER
-- out: id INTEGER, pair_id INTEGER, side TEXT, size TEXT, open_price TEXT, version INTEGER
SELECT id, pair_id, side, size, open_price, version FROM positions
WHERE account_id = :account AND status = 'open' ORDER BY id LIMIT 1
