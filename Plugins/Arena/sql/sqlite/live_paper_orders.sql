-- Orders of a simulation that live at the other exchange.
-- in:  :pair INTEGER
-- out: id INTEGER, client_id TEXT, owner TEXT, side TEXT (buy, sell), price TEXT, quantity TEXT,
--      version INTEGER, is_ours_new INTEGER (0, 1: the application has heard of no change yet)
SELECT o.id, o.client_id, o.owner, o.side, o.price, o.quantity, o.version, o.status = 'new' AND o.settled = '0'
FROM paper_orders p JOIN exchange_orders o ON o.exchange = 'paper' AND o.client_id = p.client_id
WHERE p.status IN ('new', 'partial') AND o.pair_id = :pair ORDER BY o.id
