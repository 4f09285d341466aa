-- How far one can read: the newest transaction with trades before the oldest that has not ended.
-- out: tx bigint (0: there are no trades)
SELECT coalesce((SELECT tx FROM trades WHERE tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                 ORDER BY tx DESC LIMIT 1), 0)
