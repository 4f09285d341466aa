-- The heartbeat of a listener.
-- in:  :chain TEXT, :now INTEGER, :block INTEGER
INSERT INTO monitors (chain, heartbeat_ms, last_block) VALUES (:chain, :now, :block)
ON CONFLICT (chain) DO UPDATE SET heartbeat_ms = excluded.heartbeat_ms, last_block = excluded.last_block
