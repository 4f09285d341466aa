-- What the paper minter knows of a key.
-- in:  :key TEXT
-- out: status TEXT (minted, failed), reference TEXT
SELECT status, reference FROM paper_mints WHERE key = :key
