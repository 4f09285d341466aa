-- Keeps the hash of a chain's first block, once.
-- in:  :name TEXT, :genesis TEXT
-- 1: kept, 0: there is one already
UPDATE chains SET genesis = :genesis WHERE name = :name AND genesis = ''
