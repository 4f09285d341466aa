-- Wallets that the ledger does not know.
-- out: id INTEGER, owner TEXT, currency TEXT, available TEXT, locked TEXT
SELECT w.id, w.owner, w.currency, w.available, w.locked FROM wallets w
WHERE NOT EXISTS (SELECT 1 FROM ledger_entries e WHERE e.wallet_id = w.id) ORDER BY w.id
