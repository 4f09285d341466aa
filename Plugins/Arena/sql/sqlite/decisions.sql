-- What was decided in a window.
-- in:  :simulation TEXT, :opens_ms INTEGER
-- out: agent TEXT, decision TEXT (JSON), state TEXT (decided, done)
SELECT agent, decision, state FROM simulation_decisions WHERE simulation = :simulation AND opens_ms = :opens_ms ORDER BY agent
