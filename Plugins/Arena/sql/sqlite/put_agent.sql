-- A new agent.
-- in:  :simulation TEXT, :name TEXT, :strategy TEXT, :currency TEXT, :capital TEXT, :trades INTEGER, :fees TEXT,
--      :equity TEXT, :joined_ms INTEGER
-- 1: done, 0: it is there
INSERT INTO simulation_agents (simulation, name, strategy, currency, capital, trades, fees, equity, joined_ms)
VALUES (:simulation, :name, :strategy, :currency, :capital, :trades, :fees, :equity, :joined_ms)
ON CONFLICT (simulation, name) DO NOTHING
