-- Records a margin call, once for each cause.
-- in:  :account INTEGER, :cause TEXT, :level TEXT, :equity TEXT, :used_margin TEXT, :now INTEGER
-- 1: recorded, 0: it was already
INSERT INTO margin_calls (account_id, cause, level, equity, used_margin, created_ms)
VALUES (:account, :cause, :level, :equity, :used_margin, :now)
ON CONFLICT (cause) DO NOTHING
