-- Deposits that a new block or a reorganisation may change.
-- out: id INTEGER or TEXT, wallet_id INTEGER, currency TEXT (the wallet's), chain TEXT, tx_hash TEXT, ordinal INTEGER,
--      address TEXT ('': not told), token TEXT ('': native), units TEXT or NULL, amount TEXT, status TEXT,
--      block INTEGER or NULL, block_hash TEXT or NULL, confirmations INTEGER, reason TEXT, verified INTEGER (0, 1),
--      watched INTEGER (0, 1), missing_ms INTEGER or NULL, version INTEGER, created_ms INTEGER
SELECT d.id, d.wallet_id, w.currency, d.chain, d.tx_hash, d.ordinal, d.address, d.token, d.units, d.amount,
       d.status, d.block, d.block_hash, d.confirmations, d.reason, d.verified, d.watched, d.missing_ms, d.version,
       d.created_ms
FROM deposits d JOIN wallets w ON w.id = d.wallet_id
WHERE d.watched = 1 AND d.status IN ('PENDING', 'CONFIRMING', 'CONFIRMED', 'HELD', 'CREDITED', 'REVERSAL_REQUIRED')
ORDER BY d.chain, d.id
