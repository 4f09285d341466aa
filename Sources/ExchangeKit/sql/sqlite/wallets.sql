-- All wallets.
-- out: id INTEGER, owner TEXT, currency TEXT, available TEXT, locked TEXT
SELECT id, owner, currency, available, locked FROM wallets ORDER BY id
