-- How far somebody has read.
-- in:  :name TEXT
-- out: position INTEGER, note TEXT
SELECT position, note FROM checkpoints WHERE name = :name
