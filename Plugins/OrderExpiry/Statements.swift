// Written by scripts/embed-sql from sql/. Edit those files, not this one.
import ExchangeKit

extension StatementSet {
    static let orderExpiry = StatementSet(
        "orderExpiry", shared: [.activity, .ledger, .outbox],
        sqlite: [
            "ask_again": #"""
                -- Forgets a refusal and asks once more.
                -- in:  :id TEXT, :asks INTEGER (how often until now), :now INTEGER
                -- 1: done, 0: somebody was faster
                UPDATE order_expiries
                SET asks = asks + 1, asked_ms = :now, alerted_ms = NULL, answer = NULL, final_filled = NULL, reason = NULL, answered_ms = NULL
                WHERE order_id = :id AND state = 'requested' AND asks = :asks AND answer = 'refused'
                """#,
            "begin_expiry": #"""
                -- Marks an order as being removed from the engine, if it is still what was read.
                -- in:  :id TEXT, :version TEXT, :filled TEXT
                -- 1: done, 0: somebody was faster
                UPDATE orders SET status = 'expiring', version = version + 1
                WHERE id = :id AND version = :version AND filled = :filled AND status IN ('open', 'partial')
                """#,
            "due_orders": #"""
                -- Orders past their time, oldest first, from one place on: whoever (expires_ms, id) came last.
                -- in:  :now INTEGER, :after_ms INTEGER, :after_id TEXT, :limit INTEGER
                -- out: id TEXT, owner TEXT, symbol TEXT, currency TEXT (what it holds: quote of a buy, base of a
                --      sell), side TEXT (buy, sell), price TEXT, amount TEXT, filled TEXT, locked TEXT, fee TEXT,
                --      fee_charged TEXT, version TEXT, expires_ms INTEGER
                SELECT o.id, o.owner, p.symbol, CASE o.side WHEN 'buy' THEN p.quote ELSE p.base END,
                       o.side, o.price, o.amount, o.filled, o.locked, o.fee, o.fee_charged, o.version, o.expires_ms
                FROM orders o JOIN pairs p ON p.id = o.pair_id
                WHERE o.status IN ('open', 'partial') AND o.expires_ms <= :now AND (o.expires_ms, o.id) > (:after_ms, :after_id)
                  AND NOT EXISTS (SELECT 1 FROM order_expiries e WHERE e.order_id = CAST(o.id AS TEXT) AND e.state = 'requested')
                ORDER BY o.expires_ms, o.id LIMIT :limit
                """#,
            "end_expiry": #"""
                -- Ends a request: the order is expired, or the application has ended it otherwise.
                -- in:  :id TEXT, :state TEXT (expired, left), :released TEXT, :now INTEGER
                -- 1: done, 0: it was ended before
                UPDATE order_expiries SET state = :state, released = :released, ended_ms = :now
                WHERE order_id = :id AND state = 'requested'
                """#,
            "expire_order": #"""
                -- Ends an order, if it is still what was read.
                -- in:  :id TEXT, :version TEXT, :filled TEXT
                -- 1: done, 0: somebody was faster
                UPDATE orders SET status = 'expired', locked = '0', version = version + 1
                WHERE id = :id AND version = :version AND filled = :filled AND status IN ('open', 'partial', 'expiring')
                """#,
            "expiries_since": #"""
                -- How many orders were expired, or asked to be removed, since an instant.
                -- in:  :since INTEGER
                -- out: count INTEGER
                SELECT count(*) FROM order_expiries WHERE acted_ms >= :since
                """#,
            "put_alert": #"""
                -- Notes that an alert was given for a request.
                -- in:  :id TEXT, :asks INTEGER (which request), :now INTEGER
                -- 1: done, 0: there was one already
                UPDATE order_expiries SET alerted_ms = :now
                WHERE order_id = :id AND state = 'requested' AND asks = :asks AND alerted_ms IS NULL
                """#,
            "put_expiry": #"""
                -- Notes what became of an order: expired at once, or its removal asked for.
                -- in:  :id TEXT, :state TEXT (requested, expired), :asked_ms INTEGER or NULL, :asks INTEGER (0, 1),
                --      :released TEXT or NULL, :ended_ms INTEGER or NULL, :now INTEGER
                INSERT INTO order_expiries (order_id, state, acted_ms, asks, asked_ms, released, ended_ms)
                VALUES (:id, :state, :now, :asks, :asked_ms, :released, :ended_ms)
                ON CONFLICT (order_id) DO UPDATE
                SET state = excluded.state, acted_ms = excluded.acted_ms, asks = order_expiries.asks + excluded.asks, asked_ms = excluded.asked_ms,
                    alerted_ms = NULL, answer = NULL, final_filled = NULL, reason = NULL, answered_ms = NULL,
                    released = excluded.released, ended_ms = excluded.ended_ms
                """#,
            "waiting_orders": #"""
                -- Orders whose removal was asked for, the oldest request first, from one place on.
                -- in:  :after_ms INTEGER, :after_id TEXT (of the last request: asked_ms, order_id), :limit INTEGER
                -- out: as due_orders, then status TEXT, asks INTEGER, asked_ms INTEGER, alerted_ms INTEGER or NULL,
                --      answer TEXT or NULL (removed, refused), final_filled TEXT or NULL, reason TEXT or NULL,
                --      answered_ms INTEGER or NULL
                SELECT e.order_id, o.owner, p.symbol, CASE o.side WHEN 'buy' THEN p.quote ELSE p.base END,
                       o.side, o.price, o.amount, o.filled, o.locked, o.fee, o.fee_charged, o.version, o.expires_ms,
                       o.status, e.asks, e.asked_ms, e.alerted_ms, e.answer, e.final_filled, e.reason, e.answered_ms
                FROM order_expiries e JOIN orders o ON o.id = CAST(e.order_id AS INTEGER) JOIN pairs p ON p.id = o.pair_id
                WHERE e.state = 'requested' AND (e.asked_ms, e.order_id) > (:after_ms, :after_id)
                ORDER BY e.asked_ms, e.order_id LIMIT :limit
                """#,
        ],
        postgresql: [
            "due_orders": #"""
                -- Orders past their time, oldest first, from one place on: whoever (expires_ms, id) came last.
                -- in:  :now bigint, :after_ms bigint, :after_id text ('': from the beginning), :limit bigint
                -- out: id bigint, owner text, symbol text, currency text (what it holds: quote of a buy, base of a
                --      sell), side text (buy, sell), price numeric, amount numeric, filled numeric, locked numeric,
                --      fee numeric, fee_charged numeric, version bigint, expires_ms bigint
                SELECT o.id, o.owner, p.symbol, CASE o.side WHEN 'buy' THEN p.quote ELSE p.base END,
                       o.side, o.price, o.amount, o.filled, o.locked, o.fee, o.fee_charged, o.version, o.expires_ms
                FROM orders o JOIN pairs p ON p.id = o.pair_id
                WHERE o.status IN ('open', 'partial') AND o.expires_ms <= :now
                  AND (o.expires_ms, o.id) > (:after_ms, coalesce(nullif(:after_id::text, ''), '-1')::bigint)
                  AND NOT EXISTS (SELECT 1 FROM order_expiries e WHERE e.order_id = o.id::text AND e.state = 'requested')
                ORDER BY o.expires_ms, o.id LIMIT :limit
                """#,
        ])
}
