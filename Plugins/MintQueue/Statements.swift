// Written by scripts/embed-sql from sql/. Edit those files, not this one.
import ExchangeKit

extension StatementSet {
    static let mintQueue = StatementSet(
        "mintQueue", shared: [.activity, .outbox],
        sqlite: [
            "mark_order": #"""
                -- Whether an order that the exchange has not confirmed is on its way, if it is still what was read.
                -- in:  :exchange TEXT, :client TEXT, :version INTEGER, :status TEXT (pending; unsent: it has certainly not left)
                -- 1: done, 0: somebody was faster
                UPDATE exchange_orders SET status = :status, version = version + 1
                WHERE exchange = :exchange AND client_id = :client AND version = :version AND placed_ms IS NULL
                """#,
            "mint": #"""
                -- A mint by its cause.
                -- in:  :cause TEXT
                -- out: asset_id TEXT, size TEXT, status TEXT (requested, sent, minted, failed, unknown), attempts INTEGER,
                --      reference TEXT or NULL, reason TEXT, version INTEGER, sent_ms INTEGER or NULL
                SELECT asset_id, size, status, attempts, reference, reason, version, sent_ms FROM mint_requests WHERE cause = :cause
                """#,
            "mint_counts": #"""
                -- Mints by status, with the oldest change in each.
                -- out: status TEXT, count INTEGER, oldest_ms INTEGER
                SELECT status, count(*), min(updated_ms) FROM mint_requests GROUP BY status ORDER BY status
                """#,
            "mints_since": #"""
                -- How many mints were sent, or heard of, since an instant.
                -- in:  :since INTEGER
                -- out: count INTEGER
                SELECT count(*) FROM mint_requests WHERE updated_ms >= :since AND attempts > 0
                """#,
            "move_mint": #"""
                -- Moves a mint on, if it is still what was read.
                -- in:  :cause TEXT, :version INTEGER, :status TEXT, :attempts INTEGER, :reference TEXT or NULL, :reason TEXT, :now INTEGER
                -- 1: done, 0: somebody was faster
                UPDATE mint_requests
                SET status = :status, sent_ms = CASE WHEN :attempts > attempts THEN :now ELSE sent_ms END, attempts = :attempts,
                    reference = :reference, reason = :reason, updated_ms = :now, version = version + 1
                WHERE cause = :cause AND version = :version
                """#,
            "move_order": #"""
                -- What the exchange says of an order, if it is still what was read.
                -- in:  :exchange TEXT, :client TEXT, :version INTEGER, :status TEXT, :executed TEXT, :reference TEXT or NULL, :now INTEGER
                -- 1: done, 0: somebody was faster
                UPDATE exchange_orders
                SET status = :status, executed = :executed, exchange_id = coalesce(:reference, exchange_id),
                    placed_ms = coalesce(placed_ms, :now), last_synced_ms = :now, version = version + 1
                WHERE exchange = :exchange AND client_id = :client AND version = :version
                """#,
            "order": #"""
                -- An order on the exchange, by its client order id.
                -- in:  :exchange TEXT, :client TEXT
                -- out: client_id TEXT, pair_id INTEGER, symbol TEXT, side TEXT, price TEXT, quantity TEXT, executed TEXT,
                --      status TEXT, is placed INTEGER (0, 1), version INTEGER
                SELECT o.client_id, o.pair_id, m.symbol, o.side, o.price, o.quantity, o.executed, o.status, o.placed_ms IS NOT NULL, o.version
                FROM exchange_orders o JOIN pairs m ON m.id = o.pair_id
                WHERE o.exchange = :exchange AND o.client_id = :client
                """#,
            "paper_mint": #"""
                -- What the paper minter knows of a key.
                -- in:  :key TEXT
                -- out: status TEXT (minted, failed), reference TEXT
                SELECT status, reference FROM paper_mints WHERE key = :key
                """#,
            "paper_placement": #"""
                -- What the paper gateway knows of an order.
                -- in:  :client TEXT
                -- out: status TEXT, executed TEXT
                SELECT status, executed FROM paper_placements WHERE client_id = :client
                """#,
            "put_mint": #"""
                -- Records a mint that was asked for, once for its cause.
                -- in:  :cause TEXT, :asset TEXT, :size TEXT, :created INTEGER, :now INTEGER
                -- 1: recorded, 0: it is known
                INSERT INTO mint_requests (cause, asset_id, size, status, created_ms, updated_ms)
                VALUES (:cause, :asset, :size, 'requested', :created, :now)
                ON CONFLICT (cause) DO NOTHING
                """#,
            "put_order": #"""
                -- An order that is about to be placed: no placed_ms says that the exchange has not confirmed it.
                -- in:  :exchange TEXT, :client TEXT, :pair INTEGER, :side TEXT, :price TEXT, :quantity TEXT
                -- 1: done, 0: it is there
                INSERT INTO exchange_orders (exchange, client_id, pair_id, side, price, quantity, status)
                VALUES (:exchange, :client, :pair, :side, :price, :quantity, 'pending') ON CONFLICT (exchange, client_id) DO NOTHING
                """#,
            "put_paper_mint": #"""
                -- The paper minter mints, once for a key.
                -- in:  :key TEXT, :asset TEXT, :size TEXT, :status TEXT, :reference TEXT
                INSERT INTO paper_mints (key, asset_id, size, status, reference)
                VALUES (:key, :asset, :size, :status, :reference) ON CONFLICT (key) DO NOTHING
                """#,
            "put_paper_placement": #"""
                -- The paper gateway takes an order, once.
                -- in:  :client TEXT, :symbol TEXT, :side TEXT, :price TEXT, :quantity TEXT, :executed TEXT, :status TEXT
                INSERT INTO paper_placements (client_id, symbol, side, price, quantity, executed, status)
                VALUES (:client, :symbol, :side, :price, :quantity, :executed, :status) ON CONFLICT (client_id) DO NOTHING
                """#,
            "put_replacement": #"""
                -- Takes a client order id for ever.
                -- in:  :exchange TEXT, :client TEXT, :original TEXT, :trade TEXT, :quantity TEXT, :now INTEGER
                -- 1: taken, 0: it was taken before
                INSERT INTO replacements (exchange, client_id, original, trade_id, quantity, created_ms)
                VALUES (:exchange, :client, :original, :trade, :quantity, :now) ON CONFLICT (exchange, client_id) DO NOTHING
                """#,
            "replacements_since": #"""
                -- How many orders were placed again since an instant.
                -- in:  :since INTEGER
                -- out: count INTEGER
                SELECT count(*) FROM replacements WHERE created_ms >= :since
                """#,
        ])
}
