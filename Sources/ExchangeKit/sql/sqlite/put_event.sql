-- Announces an event, once for each key.
-- in:  :event TEXT, :key TEXT, :payload TEXT (JSON), :now INTEGER
-- 1: announced, 0: it was already
INSERT INTO outbox_events (event, key, payload, created_ms) VALUES (:event, :key, :payload, :now)
ON CONFLICT (key) DO NOTHING
