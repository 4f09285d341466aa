-- Of public.orders (id uuid, user_id uuid, pair_id uuid, side text, price numeric, quantity numeric,
-- filled_quantity numeric, locked_amount numeric, status text, expires_at timestamptz).
-- in:  :now, :after_ms, :after_id, :limit
-- out: id, owner, symbol, currency, side, price, amount, filled, locked, fee, fee_charged, version, expires_ms
SELECT o.id, 'user:' || o.user_id, p.symbol,
       CASE o.side WHEN 'BUY' THEN split_part(p.symbol, '/', 2) ELSE split_part(p.symbol, '/', 1) END,
       lower(o.side), o.price, o.quantity, o.filled_quantity, o.locked_amount, 0::numeric, 0::numeric,
       o.status || ' ' || o.filled_quantity, (extract(epoch FROM o.expires_at) * 1000)::bigint
FROM public.orders o JOIN public.trading_pairs p ON p.id = o.pair_id
WHERE o.status IN ('OPEN', 'PARTIALLY_FILLED') AND o.expires_at <= to_timestamp(:now / 1000.0)
  AND ((extract(epoch FROM o.expires_at) * 1000)::bigint, o.id::text) > (:after_ms, :after_id)
ORDER BY (extract(epoch FROM o.expires_at) * 1000)::bigint, o.id::text LIMIT :limit
