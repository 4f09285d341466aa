-- An order whose state could not be learned is asked for again later.
-- in:  :id TEXT, :failures INTEGER, :not_found INTEGER (both in a row), :next_sync_ms INTEGER, :reason TEXT
INSERT INTO exchange_order_syncs (order_id, failures, not_found, next_sync_ms, reason)
VALUES (:id, :failures, :not_found, :next_sync_ms, :reason)
ON CONFLICT (order_id) DO UPDATE
SET failures = excluded.failures, not_found = excluded.not_found, next_sync_ms = excluded.next_sync_ms,
    reason = excluded.reason
