-- Snapshots that are older than those that are kept.
-- in:  :namespace TEXT, :id TEXT, :before INTEGER (a number)
DELETE FROM simulation_snapshots WHERE namespace = :namespace AND id = :id AND number < :before
