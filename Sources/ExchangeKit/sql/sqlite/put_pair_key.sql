-- Gives a pair its number, once.
-- in:  :key TEXT
INSERT INTO pair_keys (key) VALUES (:key) ON CONFLICT (key) DO NOTHING
