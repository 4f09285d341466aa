-- A deposit that was found in a block; one that was dropped comes back.
-- in:  :wallet INTEGER, :chain TEXT, :tx_hash TEXT, :ordinal INTEGER, :address TEXT, :token TEXT, :units TEXT,
--      :amount TEXT, :status TEXT (PENDING, AMOUNT_UNSUPPORTED), :reason TEXT, :now INTEGER
-- 1: new or back, 0: it is known
INSERT INTO deposits (wallet_id, chain, tx_hash, ordinal, address, token, units, amount, status, reason, watched, created_ms)
VALUES (:wallet, :chain, :tx_hash, :ordinal, :address, :token, :units, :amount, :status, :reason, :status = 'PENDING', :now)
ON CONFLICT (chain, tx_hash, ordinal) DO UPDATE
SET status = 'PENDING', reason = '', watched = 1, verified = 0, missing_ms = NULL, version = version + 1
WHERE deposits.status = 'DROPPED'
