-- What came of a decision.
-- in:  :simulation TEXT, :opens_ms INTEGER, :agent TEXT, :decision TEXT (JSON, with what came of it)
-- 1: done, 0: somebody was faster
UPDATE simulation_decisions SET state = 'done', decision = :decision
WHERE simulation = :simulation AND opens_ms = :opens_ms AND agent = :agent AND state = 'decided'
