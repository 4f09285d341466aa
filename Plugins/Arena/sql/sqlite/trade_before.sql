-- A pair's last trade before an instant of its market.
-- in:  :pair INTEGER, :before INTEGER
-- out: id INTEGER, ts_ms INTEGER, side TEXT (buy, sell), price TEXT, amount TEXT
SELECT id, ts_ms, side, price, amount FROM trades WHERE pair_id = :pair AND ts_ms < :before ORDER BY ts_ms DESC, id DESC LIMIT 1
