-- A chain, unless it is there.
-- in:  :name TEXT, :confirmations INTEGER
INSERT INTO chains (name, confirmations) VALUES (:name, :confirmations) ON CONFLICT (name) DO NOTHING
