-- A block of a paper chain.
-- in:  :chain TEXT, :height INTEGER
-- out: hash TEXT
SELECT hash FROM paper_blocks WHERE chain = :chain AND height = :height
