-- Trades in the order in which they arrived. Commits do not come in the order of numbers, so one
-- goes on by transactions, to where all older ones have ended; none is ever read in part.
-- in:  :after bigint (a transaction), :limit bigint (more of the last transaction come with it)
-- out: tx bigint, pair_id bigint, id bigint, ts_ms bigint, price numeric, amount numeric
SELECT tx, pair_id, id, ts_ms, price, amount FROM trades
WHERE tx > :after AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY tx FETCH FIRST :limit ROWS WITH TIES
