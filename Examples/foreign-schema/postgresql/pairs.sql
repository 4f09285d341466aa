-- id is a uuid: the host keeps a number for it in pair_keys.
-- out: id, symbol, active, clock_ms
SELECT id, symbol, (status = 'ACTIVE')::int, NULL::bigint FROM public.trading_pairs ORDER BY id
