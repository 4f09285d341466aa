-- An empty wallet, unless it is there.
-- in:  :owner TEXT, :currency TEXT, :may_be_negative INTEGER (0, 1)
INSERT INTO wallets (owner, currency, may_be_negative) VALUES (:owner, :currency, :may_be_negative)
ON CONFLICT (owner, currency) DO NOTHING
