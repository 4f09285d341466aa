-- The newest contest of a name.
-- in:  :name TEXT
-- out: id INTEGER
SELECT id FROM competitions WHERE name = :name ORDER BY id DESC LIMIT 1
