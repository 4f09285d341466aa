-- Whose address that is.
-- in:  :chain text, :address text (as the chain writes it; 0x… in lower case)
-- out: owner text
SELECT owner FROM deposit_addresses WHERE chain = :chain AND lower(address) = lower(:address)
