-- A snapshot.
-- in:  :namespace TEXT, :id TEXT, :number INTEGER
-- out: body TEXT
SELECT body FROM simulation_snapshots WHERE namespace = :namespace AND id = :id AND number = :number
