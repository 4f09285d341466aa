-- What the blocks of a range move on a paper chain.
-- in:  :chain TEXT, :first INTEGER, :last INTEGER
-- out: tx_hash TEXT, ordinal INTEGER, address TEXT, token TEXT, units TEXT, block INTEGER, block_hash TEXT
SELECT t.hash, m.ordinal, m.address, m.token, m.units, b.height, b.hash
FROM paper_blocks b
JOIN paper_transactions t ON t.chain = b.chain AND t.block = b.height
JOIN paper_transfers m ON m.chain = t.chain AND m.tx_hash = t.hash
WHERE b.chain = :chain AND b.height BETWEEN :first AND :last AND t.failed = 0
ORDER BY b.height, t.hash, m.ordinal
