-- Sets how far somebody has read.
-- in:  :name TEXT, :position INTEGER, :note TEXT, :now INTEGER
INSERT INTO checkpoints (name, position, note, updated_ms) VALUES (:name, :position, :note, :now)
ON CONFLICT (name) DO UPDATE SET position = excluded.position, note = excluded.note, updated_ms = excluded.updated_ms
