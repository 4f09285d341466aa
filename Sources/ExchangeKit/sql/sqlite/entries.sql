-- All ledger entries.
-- out: wallet_id INTEGER, bucket TEXT, amount TEXT, cause TEXT
SELECT wallet_id, bucket, amount, cause FROM ledger_entries ORDER BY id
