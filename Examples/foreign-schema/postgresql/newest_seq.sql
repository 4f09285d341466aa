-- out: the number of the newest trade
SELECT coalesce(max(id), 0) FROM public.trades
