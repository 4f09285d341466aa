-- A new snapshot.
-- in:  :namespace TEXT, :id TEXT, :number INTEGER, :body TEXT, :now INTEGER
INSERT INTO simulation_snapshots (namespace, id, number, taken_ms, body) VALUES (:namespace, :id, :number, :now, :body)
