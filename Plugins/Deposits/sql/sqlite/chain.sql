-- What is known of a chain.
-- in:  :name TEXT
-- out: confirmations INTEGER, genesis TEXT ('': not seen yet)
SELECT confirmations, genesis FROM chains WHERE name = :name
