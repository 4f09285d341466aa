-- One deposit, as watched; nobody else moves it until the transaction ends.
-- in:  :id text
SELECT d.id, d.wallet_id, w.currency, d.chain, d.tx_hash, d.ordinal, d.address, d.token, d.units, d.amount,
       d.status, d.block, d.block_hash, d.confirmations, d.reason, d.verified, d.watched, d.missing_ms, d.version,
       d.created_ms
FROM deposits d JOIN wallets w ON w.id = d.wallet_id
WHERE d.id = :id
FOR UPDATE OF d
