-- The first block of a paper chain.
-- in:  :chain TEXT
-- out: hash TEXT
SELECT hash FROM paper_blocks WHERE chain = :chain ORDER BY height LIMIT 1
