-- Snapshots, the newest first.
-- in:  :namespace TEXT, :id TEXT
-- out: number INTEGER
SELECT number FROM simulation_snapshots WHERE namespace = :namespace AND id = :id ORDER BY number DESC
