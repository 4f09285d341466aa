-- A pair's last price before an instant of its market.
-- in:  :pair INTEGER, :before INTEGER
-- out: price TEXT, ts_ms INTEGER
SELECT price, ts_ms FROM trades WHERE pair_id = :pair AND ts_ms < :before ORDER BY ts_ms DESC, id DESC LIMIT 1
