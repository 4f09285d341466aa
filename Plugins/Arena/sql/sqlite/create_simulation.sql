-- A new simulation.
-- in:  :name TEXT, :mode TEXT, :seed INTEGER, :clock_ms INTEGER, :owner TEXT, :now INTEGER
INSERT INTO simulations (name, mode, seed, clock_ms, owner, ticked_ms) VALUES (:name, :mode, :seed, :clock_ms, :owner, :now)
