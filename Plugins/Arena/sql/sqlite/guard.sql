-- Who is at work on a part of a simulation.
-- in:  :simulation TEXT, :part TEXT
-- out: holder TEXT, until_ms INTEGER
SELECT holder, until_ms FROM simulation_guards WHERE simulation = :simulation AND part = :part
