-- An account's newest margin call.
-- in:  :account INTEGER
-- out: level TEXT (percent), created_ms INTEGER
SELECT level, created_ms FROM margin_calls WHERE account_id = :account ORDER BY id DESC LIMIT 1
