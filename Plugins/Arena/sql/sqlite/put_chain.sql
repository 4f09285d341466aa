-- A chain of a simulation.
-- in:  :chain TEXT, :confirmations INTEGER
INSERT INTO chains (name, confirmations) VALUES (:chain, :confirmations) ON CONFLICT (name) DO NOTHING
