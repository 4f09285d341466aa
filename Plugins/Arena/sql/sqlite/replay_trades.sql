-- Trades to replay, in their order: of a pair of this database. To be replaced where they are in another table.
-- in:  :symbol TEXT, :ts_ms INTEGER and :id INTEGER (of the last one that was replayed), :most INTEGER
-- out: id INTEGER, ts_ms INTEGER, side TEXT (buy, sell), price TEXT, amount TEXT
SELECT t.id, t.ts_ms, t.side, t.price, t.amount
FROM trades t JOIN pairs p ON p.id = t.pair_id
WHERE p.symbol = :symbol AND (t.ts_ms, t.id) > (:ts_ms, :id)
ORDER BY t.ts_ms, t.id LIMIT :most
