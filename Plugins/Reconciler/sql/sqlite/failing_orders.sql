-- Orders whose state could not be learned, the worst first.
-- in:  :failures INTEGER (so many in a row, or more)
-- out: order_id TEXT, failures INTEGER, reason TEXT
SELECT order_id, failures, reason FROM exchange_order_syncs WHERE failures >= :failures
ORDER BY failures DESC, order_id
