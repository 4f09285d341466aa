-- An address at which somebody is paid.
-- in:  :chain text, :address text, :owner text
INSERT INTO deposit_addresses (chain, address, owner) VALUES (:chain, :address, :owner)
ON CONFLICT (chain, lower(address)) DO NOTHING
