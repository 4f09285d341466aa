-- id is a uuid: the host keeps a number for it in pair_keys.
-- out: id, symbol, active, clock_ms
SELECT id, symbol, status = 'ACTIVE', NULL FROM trading_pairs ORDER BY id
