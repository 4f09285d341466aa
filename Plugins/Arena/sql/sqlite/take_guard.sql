-- Goes to work on a part of a simulation, unless somebody else is.
-- in:  :simulation TEXT, :part TEXT, :holder TEXT, :until_ms INTEGER, :now INTEGER, :retry BOOLEAN (the run's next attempt)
-- 1: done, 0: somebody else is
INSERT INTO simulation_guards (simulation, part, holder, until_ms) VALUES (:simulation, :part, :holder, :until_ms)
ON CONFLICT (simulation, part) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
WHERE simulation_guards.until_ms <= :now OR (simulation_guards.holder = excluded.holder AND :retry)
