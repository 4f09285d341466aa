-- Records a mint that was asked for, once for its cause.
-- in:  :cause TEXT, :asset TEXT, :size TEXT, :created INTEGER, :now INTEGER
-- 1: recorded, 0: it is known
INSERT INTO mint_requests (cause, asset_id, size, status, created_ms, updated_ms)
VALUES (:cause, :asset, :size, 'requested', :created, :now)
ON CONFLICT (cause) DO NOTHING
