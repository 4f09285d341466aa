-- The pairs of a simulation.
-- in:  :simulation TEXT
-- out: id INTEGER, symbol TEXT, base TEXT, quote TEXT
SELECT id, symbol, base, quote FROM pairs WHERE simulation = :simulation AND active = 1 ORDER BY symbol
