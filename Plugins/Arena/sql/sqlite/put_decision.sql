-- What an agent has decided, once.
-- in:  :simulation TEXT, :opens_ms INTEGER, :agent TEXT, :decision TEXT (JSON), :now INTEGER
-- 1: done, 0: it has decided before
INSERT INTO simulation_decisions (simulation, opens_ms, agent, decision, state, created_ms)
VALUES (:simulation, :opens_ms, :agent, :decision, 'decided', :now)
ON CONFLICT (simulation, opens_ms, agent) DO NOTHING
