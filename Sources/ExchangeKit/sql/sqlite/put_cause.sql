-- Claims a cause for moving money.
-- in:  :cause TEXT, :kind TEXT, :now INTEGER
-- 1: ours, 0: money has already moved for it
INSERT INTO ledger_causes (cause, kind, created_ms) VALUES (:cause, :kind, :now)
ON CONFLICT (cause) DO NOTHING
