-- A new pair of a simulation.
-- in:  :symbol TEXT, :base TEXT, :quote TEXT, :simulation TEXT, :clock_ms INTEGER, :now INTEGER
INSERT INTO pairs (symbol, base, quote, simulation, clock_ms, created_ms)
VALUES (:symbol, :base, :quote, :simulation, :clock_ms, :now)
