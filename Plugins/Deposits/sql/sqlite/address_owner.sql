-- Whose address that is.
-- in:  :chain TEXT, :address TEXT (as the chain writes it; 0x… in lower case)
-- out: owner TEXT
SELECT owner FROM deposit_addresses WHERE chain = :chain AND address = :address
