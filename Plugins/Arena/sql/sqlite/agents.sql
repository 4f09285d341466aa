-- The agents of a simulation.
-- in:  :simulation TEXT
-- out: name TEXT, strategy TEXT, currency TEXT, capital TEXT, trades INTEGER, fees TEXT, equity TEXT, joined_ms INTEGER
SELECT name, strategy, currency, capital, trades, fees, equity, joined_ms FROM simulation_agents
WHERE simulation = :simulation ORDER BY name
