-- A transaction of a paper chain.
-- in:  :chain TEXT, :hash TEXT
-- out: block INTEGER or NULL, block_hash TEXT or NULL, failed INTEGER (0, 1)
SELECT t.block, b.hash, t.failed FROM paper_transactions t
LEFT JOIN paper_blocks b ON b.chain = t.chain AND b.height = t.block
WHERE t.chain = :chain AND t.hash = :hash
