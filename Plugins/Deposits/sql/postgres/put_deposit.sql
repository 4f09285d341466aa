-- A deposit that was found in a block; one that was dropped comes back.
-- in:  :wallet bigint, :chain text, :tx_hash text, :ordinal bigint, :address text, :token text, :units text,
--      :amount numeric, :status text (PENDING, AMOUNT_UNSUPPORTED), :reason text, :now bigint
-- 1: new or back, 0: it is known
INSERT INTO deposits (wallet_id, chain, tx_hash, ordinal, address, token, units, amount, status, reason, watched, created_ms)
VALUES (:wallet, :chain, :tx_hash, :ordinal, :address, :token, :units, :amount, :status, :reason,
        CASE :status WHEN 'PENDING' THEN 1 ELSE 0 END, :now)
ON CONFLICT (chain, lower(tx_hash), ordinal) DO UPDATE
SET status = 'PENDING', reason = '', watched = 1, verified = 0, missing_ms = NULL, version = deposits.version + 1
WHERE deposits.status = 'DROPPED'
