// Written by scripts/embed-sql from sql/. Edit those files, not this one.
import ExchangeKit

extension StatementSet {
    static let arena = StatementSet(
        "arena", shared: [.ledger],
        sqlite: [
            "account": #"""
                -- An account by its name.
                -- in:  :name TEXT
                -- out: id INTEGER, wallet_id INTEGER, balance TEXT
                SELECT a.id, a.wallet_id, w.available FROM accounts a JOIN wallets w ON w.id = a.wallet_id WHERE a.name = :name
                """#,
            "account_position": #"""
                -- An account's oldest open position.
                -- in:  :account INTEGER
                -- out: id INTEGER, pair_id INTEGER, side TEXT, size TEXT, open_price TEXT, version INTEGER
                SELECT id, pair_id, side, size, open_price, version FROM positions
                WHERE account_id = :account AND status = 'open' ORDER BY id LIMIT 1
                """#,
            "answer_removal": #"""
                -- The engine's answer: the order is out of the book, this much of it was ever filled.
                -- in:  :id TEXT, :filled TEXT, :now INTEGER
                UPDATE order_expiries SET answer = 'removed', final_filled = :filled, answered_ms = :now
                WHERE order_id = :id AND state = 'requested' AND answer IS NULL
                """#,
            "asked_removals": #"""
                -- Orders of a simulation whose removal was asked for and not answered.
                -- in:  :simulation TEXT
                -- out: order_id TEXT, filled TEXT
                SELECT e.order_id, o.filled
                FROM order_expiries e JOIN orders o ON o.id = CAST(e.order_id AS INTEGER) JOIN pairs p ON p.id = o.pair_id
                WHERE e.state = 'requested' AND e.answer IS NULL AND p.simulation = :simulation
                ORDER BY e.asked_ms, e.order_id LIMIT 500
                """#,
            "chain_head": #"""
                -- The newest block of a simulation's chain.
                -- in:  :chain TEXT
                -- out: height INTEGER or NULL
                SELECT max(height) FROM paper_blocks WHERE chain = :chain
                """#,
            "close_position": #"""
                -- Closes a position, if it is still what was read.
                -- in:  :position INTEGER, :version INTEGER, :price TEXT, :realised TEXT, :now INTEGER
                -- 1: closed, 0: somebody was faster
                UPDATE positions
                SET status = 'closed', close_price = :price, realised = :realised, changed_ms = :now, closed_ms = :now,
                    version = version + 1
                WHERE id = :position AND status = 'open' AND version = :version
                """#,
            "contest_accounts": #"""
                -- The accounts of a simulation, with what they hold.
                -- in:  :prefix TEXT (of their names)
                -- out: id INTEGER, balance TEXT
                SELECT a.id, w.available FROM accounts a JOIN wallets w ON w.id = a.wallet_id
                WHERE a.status = 'active' AND substr(a.name, 1, length(:prefix)) = :prefix ORDER BY a.id
                """#,
            "contest_by_name": #"""
                -- The newest contest of a name.
                -- in:  :name TEXT
                -- out: id INTEGER
                SELECT id FROM competitions WHERE name = :name ORDER BY id DESC LIMIT 1
                """#,
            "create_account": #"""
                -- A new account.
                -- in:  :name TEXT, :currency TEXT, :wallet INTEGER
                INSERT INTO accounts (name, currency, wallet_id) VALUES (:name, :currency, :wallet)
                """#,
            "create_contest": #"""
                -- A new contest.
                -- in:  :name TEXT, :kind TEXT (competition, challenge), :currency TEXT, :prizes TEXT (JSON), :fee TEXT (percent),
                --      :minimum INTEGER, :now INTEGER, :ends INTEGER
                INSERT INTO competitions (kind, name, currency, prizes, platform_fee, min_entrants, status, starts_ms, ends_ms)
                VALUES (:kind, :name, :currency, :prizes, :fee, :minimum, 'running', :now, :ends)
                """#,
            "create_pair": #"""
                -- A new pair of a simulation.
                -- in:  :symbol TEXT, :base TEXT, :quote TEXT, :simulation TEXT, :clock_ms INTEGER, :now INTEGER
                INSERT INTO pairs (symbol, base, quote, simulation, clock_ms, created_ms)
                VALUES (:symbol, :base, :quote, :simulation, :clock_ms, :now)
                """#,
            "create_simulation": #"""
                -- A new simulation.
                -- in:  :name TEXT, :mode TEXT, :seed INTEGER, :clock_ms INTEGER, :owner TEXT, :now INTEGER
                INSERT INTO simulations (name, mode, seed, clock_ms, owner, ticked_ms) VALUES (:name, :mode, :seed, :clock_ms, :owner, :now)
                """#,
            "end_order": #"""
                -- Ends an order, if it is still what was read.
                -- in:  :id INTEGER, :version INTEGER, :status TEXT (filled, cancelled), :filled TEXT
                -- 1: done, 0: somebody was faster
                UPDATE orders SET status = :status, filled = :filled, locked = '0', version = version + 1
                WHERE id = :id AND version = :version AND status = 'open'
                """#,
            "enter_contest": #"""
                -- A new entrant, who has paid.
                -- in:  :competition INTEGER, :account INTEGER, :wallet INTEGER, :paid TEXT, :equity TEXT, :now INTEGER
                INSERT INTO participants (competition_id, account_id, wallet_id, paid, start_equity, start_ms)
                VALUES (:competition, :account, :wallet, :paid, :equity, :now)
                """#,
            "fill_exchange_order": #"""
                -- The application has heard that an order was filled.
                -- in:  :id INTEGER, :version INTEGER, :price TEXT, :quantity TEXT, :quote TEXT, :now INTEGER
                -- 1: done, 0: somebody was faster
                UPDATE exchange_orders
                SET status = 'filled', executed = :quantity, average_price = :price, settled = :quantity, settled_quote = :quote,
                    locked = '0', last_synced_ms = :now, version = version + 1
                WHERE id = :id AND version = :version AND status = 'new'
                """#,
            "forget_quotes": #"""
                -- Prices of simulated pairs that nobody looks back to any more: no day's best price, no contest
                -- that is to be settled on the prices of its end.
                -- in:  :before INTEGER
                DELETE FROM quotes
                WHERE ts_ms < :before AND pair_id IN (SELECT id FROM pairs WHERE simulation IS NOT NULL)
                  AND ts_ms < coalesce((SELECT min(ends_ms) - 3600000 FROM competitions WHERE status NOT IN ('ended', 'refunded')), :before)
                """#,
            "include_waiting": #"""
                -- Puts all waiting transactions but one into a block.
                -- in:  :chain TEXT, :height INTEGER, :except TEXT (the hash of one that pays too little)
                UPDATE paper_transactions SET block = :height WHERE chain = :chain AND block IS NULL AND hash <> :except
                """#,
            "live_paper_orders": #"""
                -- Orders of a simulation that live at the other exchange.
                -- in:  :pair INTEGER
                -- out: id INTEGER, client_id TEXT, owner TEXT, side TEXT (buy, sell), price TEXT, quantity TEXT,
                --      version INTEGER, is_ours_new INTEGER (0, 1: the application has heard of no change yet)
                SELECT o.id, o.client_id, o.owner, o.side, o.price, o.quantity, o.version, o.status = 'new' AND o.settled = '0'
                FROM paper_orders p JOIN exchange_orders o ON o.exchange = 'paper' AND o.client_id = p.client_id
                WHERE p.status IN ('new', 'partial') AND o.pair_id = :pair ORDER BY o.id
                """#,
            "move_paper_order": #"""
                -- What becomes of an order at the other exchange.
                -- in:  :client_id TEXT, :status TEXT, :executed TEXT, :executed_quote TEXT
                UPDATE paper_orders SET status = :status, executed = :executed, executed_quote = :executed_quote
                WHERE client_id = :client_id
                """#,
            "move_transactions": #"""
                -- Moves the transactions of a block into another one, as a reorganisation does.
                -- in:  :chain TEXT, :from INTEGER, :to INTEGER
                UPDATE paper_transactions SET block = :to WHERE chain = :chain AND block = :from
                """#,
            "newest_trade": #"""
                -- A pair's newest trade.
                -- in:  :pair INTEGER
                -- out: id INTEGER, price TEXT
                SELECT id, price FROM trades WHERE pair_id = :pair ORDER BY id DESC LIMIT 1
                """#,
            "open_contests": #"""
                -- How many contests of a simulation are not settled.
                -- in:  :prefix TEXT (of their names)
                -- out: count INTEGER
                SELECT count(*) FROM competitions
                WHERE status NOT IN ('ended', 'refunded') AND substr(name, 1, length(:prefix)) = :prefix
                """#,
            "open_orders": #"""
                -- Orders of a pair that nobody has filled, oldest first.
                -- in:  :pair INTEGER
                -- out: id INTEGER, owner TEXT, side TEXT, price TEXT, amount TEXT, locked TEXT, version INTEGER
                SELECT id, owner, side, price, amount, locked, version FROM orders
                WHERE pair_id = :pair AND status = 'open' ORDER BY id LIMIT 500
                """#,
            "open_position": #"""
                -- A new position.
                -- in:  :account INTEGER, :pair INTEGER, :side TEXT (long, short), :size TEXT, :price TEXT, :leverage TEXT, :now INTEGER
                INSERT INTO positions (account_id, pair_id, side, size, open_price, leverage, opened_ms)
                VALUES (:account, :pair, :side, :size, :price, :leverage, :now)
                """#,
            "pair": #"""
                -- A pair by its symbol.
                -- in:  :symbol TEXT
                -- out: id INTEGER, simulation TEXT or NULL
                SELECT id, simulation FROM pairs WHERE symbol = :symbol
                """#,
            "put_block": #"""
                -- A block on top of a simulation's chain, or in the place of one that a reorganisation takes away.
                -- in:  :chain TEXT, :height INTEGER, :hash TEXT
                INSERT INTO paper_blocks (chain, height, hash) VALUES (:chain, :height, :hash)
                ON CONFLICT (chain, height) DO UPDATE SET hash = excluded.hash
                """#,
            "put_chain": #"""
                -- A chain of a simulation.
                -- in:  :chain TEXT, :confirmations INTEGER
                INSERT INTO chains (name, confirmations) VALUES (:chain, :confirmations) ON CONFLICT (name) DO NOTHING
                """#,
            "put_deposit_address": #"""
                -- An address at which somebody is paid.
                -- in:  :chain TEXT, :address TEXT, :owner TEXT
                INSERT INTO deposit_addresses (chain, address, owner) VALUES (:chain, :address, :owner)
                ON CONFLICT (chain, address) DO NOTHING
                """#,
            "put_exchange_order": #"""
                -- A new order at the other exchange, whose money is locked.
                -- in:  :client_id TEXT, :owner TEXT, :pair INTEGER, :side TEXT (buy, sell), :price TEXT, :quantity TEXT,
                --      :locked TEXT, :now INTEGER
                -- out: id INTEGER
                INSERT INTO exchange_orders (exchange, client_id, exchange_id, owner, pair_id, side, price, quantity, locked, status, placed_ms)
                VALUES ('paper', :client_id, 'P-' || :client_id, :owner, :pair, :side, :price, :quantity, :locked, 'new', :now)
                RETURNING id
                """#,
            "put_failed_order": #"""
                -- An order that an exchange has given up.
                -- in:  :exchange TEXT, :client TEXT, :pair INTEGER, :side TEXT, :price TEXT, :quantity TEXT, :executed TEXT, :now INTEGER
                INSERT INTO exchange_orders (exchange, client_id, pair_id, side, price, quantity, executed, status, placed_ms, last_synced_ms)
                VALUES (:exchange, :client, :pair, :side, :price, :quantity, :executed, 'expired', :now, :now)
                ON CONFLICT (exchange, client_id) DO NOTHING
                """#,
            "put_monitor": #"""
                -- The heartbeat of a listener.
                -- in:  :chain TEXT, :now INTEGER, :block INTEGER
                INSERT INTO monitors (chain, heartbeat_ms, last_block) VALUES (:chain, :now, :block)
                ON CONFLICT (chain) DO UPDATE SET heartbeat_ms = excluded.heartbeat_ms, last_block = excluded.last_block
                """#,
            "put_order": #"""
                -- A new order.
                -- in:  :owner TEXT, :pair INTEGER, :side TEXT (buy, sell), :price TEXT, :amount TEXT, :locked TEXT,
                --      :now INTEGER, :expires_ms INTEGER
                -- out: id INTEGER
                INSERT INTO orders (owner, pair_id, side, price, amount, locked, status, created_ms, expires_ms)
                VALUES (:owner, :pair, :side, :price, :amount, :locked, 'open', :now, :expires_ms)
                RETURNING id
                """#,
            "put_paper_order": #"""
                -- The same order, as the other exchange has it.
                -- in:  :client_id TEXT
                INSERT INTO paper_orders (exchange_id, client_id, status) VALUES ('P-' || :client_id, :client_id, 'new')
                """#,
            "put_quote": #"""
                -- A price.
                -- in:  :pair INTEGER, :now INTEGER, :bid TEXT, :ask TEXT
                INSERT INTO quotes (pair_id, ts_ms, bid, ask) VALUES (:pair, :now, :bid, :ask)
                """#,
            "put_seen_deposit": #"""
                -- A deposit as a listener writes it when it sees the transaction.
                -- in:  :wallet INTEGER, :chain TEXT, :hash TEXT, :ordinal INTEGER, :address TEXT, :token TEXT, :units TEXT, :amount TEXT,
                --      :now INTEGER
                INSERT INTO deposits (wallet_id, chain, tx_hash, ordinal, address, token, units, amount, status, created_ms)
                VALUES (:wallet, :chain, :hash, :ordinal, :address, :token, :units, :amount, 'PENDING', :now)
                """#,
            "put_trade": #"""
                -- A trade, once.
                -- in:  :pair INTEGER, :id INTEGER, :ts_ms INTEGER, :side TEXT (buy, sell), :price TEXT, :amount TEXT
                -- 1: new, 0: it is there already
                INSERT INTO trades (pair_id, id, ts_ms, side, price, amount) VALUES (:pair, :id, :ts_ms, :side, :price, :amount)
                ON CONFLICT (pair_id, id) DO NOTHING
                """#,
            "put_transaction": #"""
                -- A transaction that waits for a block.
                -- in:  :chain TEXT, :hash TEXT
                INSERT INTO paper_transactions (chain, hash) VALUES (:chain, :hash)
                """#,
            "put_transfer": #"""
                -- What a transaction moves.
                -- in:  :chain TEXT, :hash TEXT, :ordinal INTEGER (0: the native coin), :address TEXT, :token TEXT, :units TEXT
                INSERT INTO paper_transfers (chain, tx_hash, ordinal, address, token, units)
                VALUES (:chain, :hash, :ordinal, :address, :token, :units)
                """#,
            "save_simulation": #"""
                -- Moves a simulation on, unless somebody else did.
                -- in:  :name TEXT, :old_ticks INTEGER, and the new columns by name
                -- 1: done, 0: somebody was faster
                UPDATE simulations
                SET ticks = :ticks, clock_ms = :clock_ms, owner = :owner, ticked_ms = :ticked_ms, cause = :cause, file = :file,
                    file_offset = :file_offset, file_line = :file_line, finished = :finished
                WHERE name = :name AND ticks = :old_ticks
                """#,
            "set_pair_clock": #"""
                -- A pair's own time; NULL: real time.
                -- in:  :pair INTEGER, :clock_ms INTEGER or NULL
                UPDATE pairs SET clock_ms = :clock_ms WHERE id = :pair
                """#,
            "simulation": #"""
                -- A simulation by name.
                -- in:  :name TEXT
                -- out: mode TEXT, seed INTEGER, ticks INTEGER, clock_ms INTEGER, owner TEXT, ticked_ms INTEGER,
                --      cause TEXT, file TEXT, file_offset INTEGER, file_line INTEGER, finished INTEGER (0, 1)
                SELECT mode, seed, ticks, clock_ms, owner, ticked_ms, cause, file, file_offset, file_line, finished
                FROM simulations WHERE name = :name
                """#,
        ],
        postgresql: [
            "put_deposit_address": #"""
                -- An address at which somebody is paid.
                -- in:  :chain text, :address text, :owner text
                INSERT INTO deposit_addresses (chain, address, owner) VALUES (:chain, :address, :owner)
                ON CONFLICT (chain, lower(address)) DO NOTHING
                """#,
        ])
}
