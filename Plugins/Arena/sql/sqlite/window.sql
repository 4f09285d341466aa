-- The newest trade window of a simulation.
-- in:  :simulation TEXT
-- out: opens_ms INTEGER, clock_ms INTEGER, state TEXT (open, traded), missed INTEGER, trades INTEGER, changed_ms INTEGER
SELECT opens_ms, clock_ms, state, missed, trades, changed_ms FROM simulation_windows
WHERE simulation = :simulation ORDER BY opens_ms DESC LIMIT 1
