-- The newest block of a simulation's chain.
-- in:  :chain TEXT
-- out: height INTEGER or NULL
SELECT max(height) FROM paper_blocks WHERE chain = :chain
