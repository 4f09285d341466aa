-- Closings that the application was asked for and has not done.
-- in:  :since INTEGER
-- out: position_id INTEGER, size TEXT
SELECT l.position_id, l.size
FROM liquidations l JOIN positions p ON p.id = l.position_id AND p.version = l.position_version
WHERE l.state = 'requested' AND p.status = 'open' AND l.created_ms >= :since
