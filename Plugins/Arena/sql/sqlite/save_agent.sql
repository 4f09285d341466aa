-- What an agent has come to.
-- in:  :simulation TEXT, :name TEXT, :strategy TEXT, :trades INTEGER, :fees TEXT, :equity TEXT
UPDATE simulation_agents SET strategy = :strategy, trades = :trades, fees = :fees, equity = :equity
WHERE simulation = :simulation AND name = :name
