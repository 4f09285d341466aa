-- All pairs. clock_ms: the pair's own time, where it is not the real one (a simulated or replayed
-- market).
-- out: id INTEGER, symbol TEXT, active INTEGER (0, 1), clock_ms INTEGER or NULL
SELECT id, symbol, active, clock_ms FROM pairs ORDER BY id
