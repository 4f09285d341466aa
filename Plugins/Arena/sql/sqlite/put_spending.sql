-- What a day of asking models has cost, anew.
-- in:  :simulation TEXT, :day_ms INTEGER, :spent TEXT, :calls INTEGER
INSERT INTO simulation_spending (simulation, day_ms, spent, calls) VALUES (:simulation, :day_ms, :spent, :calls)
ON CONFLICT (simulation, day_ms) DO UPDATE SET spent = excluded.spent, calls = excluded.calls
