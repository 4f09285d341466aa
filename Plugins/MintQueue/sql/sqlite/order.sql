-- An order on the exchange, by its client order id.
-- in:  :exchange TEXT, :client TEXT
-- out: client_id TEXT, pair_id INTEGER, symbol TEXT, side TEXT, price TEXT, quantity TEXT, executed TEXT,
--      status TEXT, is placed INTEGER (0, 1), version INTEGER, owner TEXT or NULL (whose money it holds)
SELECT o.client_id, o.pair_id, m.symbol, o.side, o.price, o.quantity, o.executed, o.status, o.placed_ms IS NOT NULL, o.version,
       o.owner
FROM exchange_orders o JOIN pairs m ON m.id = o.pair_id
WHERE o.exchange = :exchange AND o.client_id = :client
