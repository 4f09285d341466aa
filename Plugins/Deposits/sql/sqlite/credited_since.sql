-- What was credited since an instant.
-- in:  :since INTEGER
-- out: currency TEXT, amount TEXT
SELECT w.currency, d.amount FROM deposits d JOIN wallets w ON w.id = d.wallet_id WHERE d.credited_ms >= :since
