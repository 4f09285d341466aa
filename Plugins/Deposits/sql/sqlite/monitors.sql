-- The application's listeners.
-- out: chain TEXT, heartbeat_ms INTEGER, last_block INTEGER
SELECT chain, heartbeat_ms, last_block FROM monitors ORDER BY chain
