-- A simulation without agents.
-- in:  :simulation TEXT
DELETE FROM simulation_agents WHERE simulation = :simulation
