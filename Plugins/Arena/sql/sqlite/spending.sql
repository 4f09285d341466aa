-- What a day of asking models has cost.
-- in:  :simulation TEXT, :day_ms INTEGER
-- out: spent TEXT, calls INTEGER
SELECT spent, calls FROM simulation_spending WHERE simulation = :simulation AND day_ms = :day_ms
