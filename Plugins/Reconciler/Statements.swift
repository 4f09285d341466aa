// Written by scripts/embed-sql from sql/. Edit those files, not this one.
import ExchangeKit

extension StatementSet {
    static let reconciler = StatementSet(
        "reconciler", shared: [.activity, .ledger, .outbox],
        sqlite: [
            "due_orders": #"""
                -- Orders placed on an exchange, not final, not synced lately: never synced first, then oldest first.
                -- in:  :exchange TEXT, :synced_before INTEGER (ms), :now INTEGER (ms), :limit INTEGER
                -- out: id TEXT, symbol TEXT (as the exchange writes it), exchange_id TEXT or NULL, client_id TEXT
                --      or NULL (one of the two is there), status TEXT (pending, new, partial), executed TEXT,
                --      quantity TEXT or NULL, average_price TEXT or NULL, version TEXT (for the
                --      compare-and-set), failures INTEGER, not_found INTEGER, owner TEXT or NULL (nothing is
                --      settled), side TEXT (buy, sell) or NULL, base TEXT, quote TEXT, settled TEXT,
                --      settled_quote TEXT, locked TEXT (these five: NULL without owner)
                SELECT o.id, replace(p.symbol, '/', ''), o.exchange_id, o.client_id, o.status, o.executed, o.quantity, o.average_price,
                       o.version, coalesce(s.failures, 0), coalesce(s.not_found, 0), o.owner, o.side, p.base, p.quote, o.settled,
                       o.settled_quote, o.locked
                FROM exchange_orders o JOIN pairs p ON p.id = o.pair_id
                    LEFT JOIN exchange_order_syncs s ON s.order_id = CAST(o.id AS TEXT)
                WHERE o.exchange = :exchange AND o.status IN ('pending', 'new', 'partial') AND o.placed_ms IS NOT NULL
                  AND coalesce(o.last_synced_ms, 0) <= :synced_before AND coalesce(s.next_sync_ms, 0) <= :now
                ORDER BY coalesce(o.last_synced_ms, 0), o.id LIMIT :limit
                """#,
            "failing_orders": #"""
                -- Orders whose state could not be learned, the worst first.
                -- in:  :failures INTEGER (so many in a row, or more)
                -- out: order_id TEXT, failures INTEGER, reason TEXT
                SELECT order_id, failures, reason FROM exchange_order_syncs WHERE failures >= :failures
                ORDER BY failures DESC, order_id
                """#,
            "forget_failure": #"""
                -- The order's state is known again.
                -- in:  :id TEXT
                DELETE FROM exchange_order_syncs WHERE order_id = :id
                """#,
            "mark_synced": #"""
                -- The exchange says what we have, if the order is still what was read.
                -- in:  :id TEXT, :version TEXT, :old_status TEXT, :old_executed TEXT, :now INTEGER
                -- 1: done, 0: somebody was faster
                UPDATE exchange_orders SET last_synced_ms = :now
                WHERE id = :id AND version = :version AND status = :old_status AND executed = :old_executed
                """#,
            "open_orders": #"""
                -- Orders placed on an exchange that are not final.
                -- in:  :exchange TEXT, :synced_before INTEGER
                -- out: count INTEGER, overdue INTEGER (not asked for since), oldest_ms INTEGER or NULL (of these: when it
                --      was, or when the order was placed)
                SELECT count(*), count(*) FILTER (WHERE coalesce(last_synced_ms, placed_ms) < :synced_before),
                       min(CASE WHEN coalesce(last_synced_ms, placed_ms) < :synced_before THEN coalesce(last_synced_ms, placed_ms) END)
                FROM exchange_orders
                WHERE exchange = :exchange AND status IN ('pending', 'new', 'partial') AND placed_ms IS NOT NULL
                """#,
            "paper_order": #"""
                -- What a simulation's other exchange says of an order.
                -- in:  :exchange_id TEXT or NULL, :client_id TEXT or NULL
                -- out: status TEXT, executed TEXT, executed_quote TEXT
                SELECT status, executed, executed_quote FROM paper_orders
                WHERE exchange_id = :exchange_id OR (CAST(:exchange_id AS TEXT) IS NULL AND client_id = :client_id)
                """#,
            "put_failure": #"""
                -- An order whose state could not be learned is asked for again later.
                -- in:  :id TEXT, :failures INTEGER, :not_found INTEGER (both in a row), :next_sync_ms INTEGER, :reason TEXT
                INSERT INTO exchange_order_syncs (order_id, failures, not_found, next_sync_ms, reason)
                VALUES (:id, :failures, :not_found, :next_sync_ms, :reason)
                ON CONFLICT (order_id) DO UPDATE
                SET failures = excluded.failures, not_found = excluded.not_found, next_sync_ms = excluded.next_sync_ms,
                    reason = excluded.reason
                """#,
            "put_reconciliation": #"""
                -- Records a change, for the cap of an hour and for people.
                -- in:  :id TEXT, :change TEXT, :now INTEGER
                INSERT INTO reconciliations (order_id, change, created_ms) VALUES (:id, :change, :now)
                """#,
            "reconciliations_since": #"""
                -- in:  :since INTEGER
                -- out: count INTEGER
                SELECT count(*) FROM reconciliations WHERE created_ms > :since
                """#,
            "update_order": #"""
                -- Writes what the exchange has said, if the order is still what was read.
                -- in:  :id TEXT, :version TEXT, :old_status TEXT, :old_executed TEXT, :status TEXT, :executed TEXT,
                --      :average_price TEXT or NULL, :settled TEXT, :settled_quote TEXT, :locked TEXT (these three
                --      NULL without owner), :now INTEGER
                -- 1: done, 0: somebody was faster
                UPDATE exchange_orders
                SET status = :status, executed = :executed, average_price = :average_price, settled = coalesce(:settled, settled),
                    settled_quote = coalesce(:settled_quote, settled_quote), locked = coalesce(:locked, locked), last_synced_ms = :now,
                    version = version + 1
                WHERE id = :id AND version = :version AND status = :old_status AND executed = :old_executed
                """#,
        ])
}
