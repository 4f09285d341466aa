-- An address at which somebody is paid.
-- in:  :chain TEXT, :address TEXT, :owner TEXT
INSERT INTO deposit_addresses (chain, address, owner) VALUES (:chain, :address, :owner)
ON CONFLICT (chain, address) DO NOTHING
