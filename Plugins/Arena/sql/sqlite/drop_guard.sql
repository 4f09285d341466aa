-- Is done with it.
-- in:  :simulation TEXT, :part TEXT, :holder TEXT
DELETE FROM simulation_guards WHERE simulation = :simulation AND part = :part AND holder = :holder
