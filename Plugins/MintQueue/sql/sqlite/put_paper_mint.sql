-- The paper minter mints, once for a key.
-- in:  :key TEXT, :asset TEXT, :size TEXT, :status TEXT, :reference TEXT
INSERT INTO paper_mints (key, asset_id, size, status, reference)
VALUES (:key, :asset, :size, :status, :reference) ON CONFLICT (key) DO NOTHING
