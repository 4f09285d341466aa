-- What a transaction of a paper chain moves.
-- in:  :chain TEXT, :hash TEXT
-- out: ordinal INTEGER, address TEXT, token TEXT, units TEXT
SELECT ordinal, address, token, units FROM paper_transfers WHERE chain = :chain AND tx_hash = :hash ORDER BY ordinal
