-- Records a closing that was done or asked for, once for each version of a position.
-- in:  :account INTEGER, :position INTEGER, :version INTEGER, :state TEXT (done, requested),
--      :size TEXT, :price TEXT, :profit TEXT, :level TEXT, :now INTEGER
INSERT INTO liquidations (account_id, position_id, position_version, state, size, price, profit, level, created_ms)
VALUES (:account, :position, :version, :state, :size, :price, :profit, :level, :now)
ON CONFLICT (position_id, position_version) DO UPDATE
SET state = excluded.state, size = excluded.size, price = excluded.price, profit = excluded.profit,
    level = excluded.level, created_ms = excluded.created_ms
