-- Records a change, for the cap of an hour and for people.
-- in:  :id TEXT, :change TEXT, :now INTEGER
INSERT INTO reconciliations (order_id, change, created_ms) VALUES (:id, :change, :now)
