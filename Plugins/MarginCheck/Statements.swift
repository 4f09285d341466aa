// Written by scripts/embed-sql from sql/. Edit those files, not this one.
import ExchangeKit

extension StatementSet {
    static let marginCheck = StatementSet(
        "marginCheck", shared: [.activity, .ledger, .outbox],
        sqlite: [
            "account": #"""
                -- One account, as accounts.
                -- in:  :account INTEGER
                SELECT a.id, a.name, a.currency, a.wallet_id, w.available
                FROM accounts a JOIN wallets w ON w.id = a.wallet_id
                WHERE a.status = 'active' AND a.id = :account
                """#,
            "account_positions": #"""
                -- The open positions of one account, as positions.
                -- in:  :account INTEGER
                SELECT p.id, p.account_id, p.pair_id, m.symbol, m.quote, m.contract_size, m.size_step,
                       p.side, p.size, p.open_price, p.leverage, p.version
                FROM positions p JOIN pairs m ON m.id = p.pair_id
                WHERE p.status = 'open' AND p.account_id = :account ORDER BY p.id
                """#,
            "accounts": #"""
                -- Accounts that have something to watch: active, with an open position.
                -- out: id INTEGER, name TEXT, currency TEXT, wallet_id INTEGER, balance TEXT
                SELECT a.id, a.name, a.currency, a.wallet_id, w.available
                FROM accounts a JOIN wallets w ON w.id = a.wallet_id
                WHERE a.status = 'active'
                  AND EXISTS (SELECT 1 FROM positions p WHERE p.account_id = a.id AND p.status = 'open')
                ORDER BY a.id
                """#,
            "close_position": #"""
                -- Closes a position, if it is still what was read. realised: over all its closings.
                -- in:  :position INTEGER, :version INTEGER, :price TEXT, :realised TEXT, :now INTEGER
                -- 1: closed, 0: the application was faster
                UPDATE positions
                SET status = 'closed', close_price = :price, realised = :realised, changed_ms = :now, closed_ms = :now,
                    version = version + 1
                WHERE id = :position AND status = 'open' AND version = :version
                """#,
            "closings_since": #"""
                -- How many closings were done or asked for since an instant.
                -- in:  :since INTEGER
                -- out: count INTEGER
                SELECT count(*) FROM liquidations WHERE created_ms >= :since
                """#,
            "last_call": #"""
                -- An account's newest margin call.
                -- in:  :account INTEGER
                -- out: level TEXT (percent), created_ms INTEGER
                SELECT level, created_ms FROM margin_calls WHERE account_id = :account ORDER BY id DESC LIMIT 1
                """#,
            "positions": #"""
                -- All open positions.
                -- out: id INTEGER, account_id INTEGER, pair_id INTEGER, symbol TEXT, quote TEXT, contract_size TEXT,
                --      size_step TEXT, side TEXT (long, short), size TEXT, open_price TEXT, leverage TEXT, version INTEGER
                SELECT p.id, p.account_id, p.pair_id, m.symbol, m.quote, m.contract_size, m.size_step,
                       p.side, p.size, p.open_price, p.leverage, p.version
                FROM positions p JOIN pairs m ON m.id = p.pair_id
                WHERE p.status = 'open' ORDER BY p.account_id, p.id
                """#,
            "prices": #"""
                -- The newest two prices of every pair, the newest first.
                -- out: pair_id INTEGER, symbol TEXT, base TEXT, quote TEXT, ts_ms INTEGER, bid TEXT, ask TEXT
                SELECT m.id, m.symbol, m.base, m.quote, q.ts_ms, q.bid, q.ask
                FROM pairs m JOIN quotes q ON q.seq IN (SELECT seq FROM quotes WHERE pair_id = m.id ORDER BY seq DESC LIMIT 2)
                ORDER BY m.id, q.seq DESC
                """#,
            "prices_since": #"""
                -- All prices of a pair since an instant.
                -- in:  :pair INTEGER, :since INTEGER
                -- out: bid TEXT, ask TEXT
                SELECT bid, ask FROM quotes WHERE pair_id = :pair AND ts_ms >= :since
                """#,
            "put_call": #"""
                -- Records a margin call, once for each cause.
                -- in:  :account INTEGER, :cause TEXT, :level TEXT, :equity TEXT, :used_margin TEXT, :now INTEGER
                -- 1: recorded, 0: it was already
                INSERT INTO margin_calls (account_id, cause, level, equity, used_margin, created_ms)
                VALUES (:account, :cause, :level, :equity, :used_margin, :now)
                ON CONFLICT (cause) DO NOTHING
                """#,
            "put_liquidation": #"""
                -- Records a closing that was done or asked for, once for each version of a position.
                -- in:  :account INTEGER, :position INTEGER, :version INTEGER, :state TEXT (done, requested),
                --      :size TEXT, :price TEXT, :profit TEXT, :level TEXT, :now INTEGER
                INSERT INTO liquidations (account_id, position_id, position_version, state, size, price, profit, level, created_ms)
                VALUES (:account, :position, :version, :state, :size, :price, :profit, :level, :now)
                ON CONFLICT (position_id, position_version) DO UPDATE
                SET state = excluded.state, size = excluded.size, price = excluded.price, profit = excluded.profit,
                    level = excluded.level, created_ms = excluded.created_ms
                """#,
            "realised": #"""
                -- What earlier closings of a part of a position have realised.
                -- in:  :position INTEGER
                -- out: realised TEXT or NULL
                SELECT realised FROM positions WHERE id = :position
                """#,
            "reduce_position": #"""
                -- Closes a part of a position, if it is still what was read.
                -- in:  :position INTEGER, :version INTEGER, :size TEXT (what remains), :realised TEXT, :now INTEGER
                -- 1: reduced, 0: the application was faster
                UPDATE positions SET size = :size, realised = :realised, changed_ms = :now, version = version + 1
                WHERE id = :position AND status = 'open' AND version = :version
                """#,
            "requested": #"""
                -- Closings that the application was asked for and has not done.
                -- in:  :since INTEGER
                -- out: position_id INTEGER, size TEXT
                SELECT l.position_id, l.size
                FROM liquidations l JOIN positions p ON p.id = l.position_id AND p.version = l.position_version
                WHERE l.state = 'requested' AND p.status = 'open' AND l.created_ms >= :since
                """#,
        ],
        postgresql: [
            "account": #"""
                -- One account, as accounts. Its balance stands still, and nobody adds a position, until the
                -- transaction ends.
                -- in:  :account bigint
                -- rights: UPDATE accounts (id)
                SELECT a.id, a.name, a.currency, a.wallet_id, w.available
                FROM accounts a JOIN wallets w ON w.id = a.wallet_id
                WHERE a.status = 'active' AND a.id = :account
                FOR UPDATE OF a, w
                """#,
            "account_positions": #"""
                -- The open positions of one account, as positions; they stand still until the transaction ends.
                -- in:  :account bigint
                SELECT p.id, p.account_id, p.pair_id, m.symbol, m.quote, m.contract_size, m.size_step,
                       p.side, p.size, p.open_price, p.leverage, p.version
                FROM positions p JOIN pairs m ON m.id = p.pair_id
                WHERE p.status = 'open' AND p.account_id = :account ORDER BY p.id
                FOR UPDATE OF p
                """#,
            "prices": #"""
                -- The newest two prices of every pair, the newest first.
                -- out: pair_id bigint, symbol text, base text, quote text, ts_ms bigint, bid numeric, ask numeric
                SELECT m.id, m.symbol, m.base, m.quote, q.ts_ms, q.bid, q.ask
                FROM pairs m
                CROSS JOIN LATERAL (SELECT seq, ts_ms, bid, ask FROM quotes WHERE pair_id = m.id ORDER BY seq DESC LIMIT 2) q
                ORDER BY m.id, q.seq DESC
                """#,
        ])
}
