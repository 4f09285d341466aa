-- A block on top of a simulation's chain, or in the place of one that a reorganisation takes away.
-- in:  :chain TEXT, :height INTEGER, :hash TEXT
INSERT INTO paper_blocks (chain, height, hash) VALUES (:chain, :height, :hash)
ON CONFLICT (chain, height) DO UPDATE SET hash = excluded.hash
