-- A platform whose pairs are known by a uuid, whose instants are timestamps and whose words are its
-- own, as the candles and tickers see it: two views in the schema of the host, beside what
-- `jobhost schema apply` has made there. The tables behind them stay as they are:
--
--   public.trading_pairs (id uuid, symbol text, status text)
--   public.trades (id bigint, pair_id uuid, side text, price numeric, quantity numeric, created_at timestamptz)
--
-- pair_keys has a number for each pair; the statement `pairs` (pairs.sql) lets the host give it.

CREATE VIEW jobhost.pairs AS
SELECT k.id, p.symbol, split_part(p.symbol, '/', 1) AS base, split_part(p.symbol, '/', 2) AS quote,
       (p.status = 'ACTIVE')::int::bigint AS active, NULL::bigint AS clock_ms
FROM public.trading_pairs p JOIN jobhost.pair_keys k ON k.key = p.id::text;

-- tx stands for what arrived when; here that is the number. It is passed by one that commits late,
-- therefore `lookback` (candles) and `recount` (tickers).
CREATE VIEW jobhost.trades AS
SELECT t.id AS seq, t.id AS tx, k.id AS pair_id, t.id, (extract(epoch FROM t.created_at AT TIME ZONE 'UTC') * 1000)::bigint AS ts_ms,
       lower(t.side) AS side, t.price, t.quantity AS amount
FROM public.trades t JOIN jobhost.pair_keys k ON k.key::uuid = t.pair_id;

-- By which the view finds a pair's trades of a time: only with UTC said is the expression one that may be indexed.
CREATE INDEX trades_by_pair_and_ms ON public.trades (pair_id, ((extract(epoch FROM created_at AT TIME ZONE 'UTC') * 1000)::bigint), id);
