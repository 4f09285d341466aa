// Written by scripts/embed-sql from sql/. Edit those files, not this one.
import ExchangeKit

extension StatementSet {
    static let deposits = StatementSet(
        "deposits", shared: [.activity, .checkpoints, .ledger, .outbox],
        sqlite: [
            "address_owner": #"""
                -- Whose address that is.
                -- in:  :chain TEXT, :address TEXT (as the chain writes it; 0x… in lower case)
                -- out: owner TEXT
                SELECT owner FROM deposit_addresses WHERE chain = :chain AND address = :address
                """#,
            "chain": #"""
                -- What is known of a chain.
                -- in:  :name TEXT
                -- out: confirmations INTEGER, genesis TEXT ('': not seen yet)
                SELECT confirmations, genesis FROM chains WHERE name = :name
                """#,
            "credit_deposit": #"""
                -- Marks a deposit as credited, if it is still what was read.
                -- in:  :id TEXT, :version INTEGER, :block_hash TEXT, :reason TEXT, :now INTEGER
                -- 1: done, 0: somebody was faster
                UPDATE deposits SET status = 'CREDITED', reason = :reason, credited_ms = :now, version = version + 1
                WHERE id = :id AND status = 'CONFIRMED' AND version = :version AND block_hash = :block_hash
                """#,
            "credit_guard": #"""
                -- What stands between a confirmed deposit and the wallet: put your own rules here (sanctions, limits, reviews).
                -- in:  :id TEXT
                -- out: decision TEXT (allow, hold, reject), reason TEXT
                SELECT 'allow', '' FROM deposits WHERE id = :id
                """#,
            "creditable": #"""
                -- Deposits to credit, the oldest first, as watched.
                SELECT d.id, d.wallet_id, w.currency, d.chain, d.tx_hash, d.ordinal, d.address, d.token, d.units, d.amount,
                       d.status, d.block, d.block_hash, d.confirmations, d.reason, d.verified, d.watched, d.missing_ms, d.version,
                       d.created_ms
                FROM deposits d JOIN wallets w ON w.id = d.wallet_id
                WHERE d.status = 'CONFIRMED'
                ORDER BY d.id
                """#,
            "credited_since": #"""
                -- What was credited since an instant.
                -- in:  :since INTEGER
                -- out: currency TEXT, amount TEXT
                SELECT w.currency, d.amount FROM deposits d JOIN wallets w ON w.id = d.wallet_id WHERE d.credited_ms >= :since
                """#,
            "deposit": #"""
                -- One deposit, as watched.
                -- in:  :id TEXT
                SELECT d.id, d.wallet_id, w.currency, d.chain, d.tx_hash, d.ordinal, d.address, d.token, d.units, d.amount,
                       d.status, d.block, d.block_hash, d.confirmations, d.reason, d.verified, d.watched, d.missing_ms, d.version,
                       d.created_ms
                FROM deposits d JOIN wallets w ON w.id = d.wallet_id
                WHERE d.id = :id
                """#,
            "monitors": #"""
                -- The application's listeners.
                -- out: chain TEXT, heartbeat_ms INTEGER, last_block INTEGER
                SELECT chain, heartbeat_ms, last_block FROM monitors ORDER BY chain
                """#,
            "paper_block": #"""
                -- A block of a paper chain.
                -- in:  :chain TEXT, :height INTEGER
                -- out: hash TEXT
                SELECT hash FROM paper_blocks WHERE chain = :chain AND height = :height
                """#,
            "paper_genesis": #"""
                -- The first block of a paper chain.
                -- in:  :chain TEXT
                -- out: hash TEXT
                SELECT hash FROM paper_blocks WHERE chain = :chain ORDER BY height LIMIT 1
                """#,
            "paper_head": #"""
                -- The newest block of a paper chain.
                -- in:  :chain TEXT
                -- out: height INTEGER or NULL
                SELECT max(height) FROM paper_blocks WHERE chain = :chain
                """#,
            "paper_range": #"""
                -- What the blocks of a range move on a paper chain.
                -- in:  :chain TEXT, :first INTEGER, :last INTEGER
                -- out: tx_hash TEXT, ordinal INTEGER, address TEXT, token TEXT, units TEXT, block INTEGER, block_hash TEXT
                SELECT t.hash, m.ordinal, m.address, m.token, m.units, b.height, b.hash
                FROM paper_blocks b
                JOIN paper_transactions t ON t.chain = b.chain AND t.block = b.height
                JOIN paper_transfers m ON m.chain = t.chain AND m.tx_hash = t.hash
                WHERE b.chain = :chain AND b.height BETWEEN :first AND :last AND t.failed = 0
                ORDER BY b.height, t.hash, m.ordinal
                """#,
            "paper_transaction": #"""
                -- A transaction of a paper chain.
                -- in:  :chain TEXT, :hash TEXT
                -- out: block INTEGER or NULL, block_hash TEXT or NULL, failed INTEGER (0, 1)
                SELECT t.block, b.hash, t.failed FROM paper_transactions t
                LEFT JOIN paper_blocks b ON b.chain = t.chain AND b.height = t.block
                WHERE t.chain = :chain AND t.hash = :hash
                """#,
            "paper_transfers": #"""
                -- What a transaction of a paper chain moves.
                -- in:  :chain TEXT, :hash TEXT
                -- out: ordinal INTEGER, address TEXT, token TEXT, units TEXT
                SELECT ordinal, address, token, units FROM paper_transfers WHERE chain = :chain AND tx_hash = :hash ORDER BY ordinal
                """#,
            "put_chain": #"""
                -- A chain, unless it is there.
                -- in:  :name TEXT, :confirmations INTEGER
                INSERT INTO chains (name, confirmations) VALUES (:name, :confirmations) ON CONFLICT (name) DO NOTHING
                """#,
            "put_deposit": #"""
                -- A deposit that was found in a block; one that was dropped comes back.
                -- in:  :wallet INTEGER, :chain TEXT, :tx_hash TEXT, :ordinal INTEGER, :address TEXT, :token TEXT, :units TEXT,
                --      :amount TEXT, :status TEXT (PENDING, AMOUNT_UNSUPPORTED), :reason TEXT, :now INTEGER
                -- 1: new or back, 0: it is known
                INSERT INTO deposits (wallet_id, chain, tx_hash, ordinal, address, token, units, amount, status, reason, watched, created_ms)
                VALUES (:wallet, :chain, :tx_hash, :ordinal, :address, :token, :units, :amount, :status, :reason, :status = 'PENDING', :now)
                ON CONFLICT (chain, tx_hash, ordinal) DO UPDATE
                SET status = 'PENDING', reason = '', watched = 1, verified = 0, missing_ms = NULL, version = version + 1
                WHERE deposits.status = 'DROPPED'
                """#,
            "refuse_deposit": #"""
                -- Takes a deposit out of crediting, if it is still what was read.
                -- in:  :id TEXT, :version INTEGER, :status TEXT (HELD, FAILED), :reason TEXT
                -- 1: done, 0: somebody was faster
                UPDATE deposits SET status = :status, reason = :reason, watched = CASE :status WHEN 'HELD' THEN 1 ELSE 0 END, version = version + 1
                WHERE id = :id AND status = 'CONFIRMED' AND version = :version
                """#,
            "retry_deposit": #"""
                -- Gives a deposit that ended, or is held, another chance; asked for by hand.
                -- in:  :id TEXT
                -- 1: done, 0: it is in none of these states
                UPDATE deposits
                SET status = CASE status WHEN 'HELD' THEN 'CONFIRMED' ELSE 'PENDING' END, reason = '', watched = 1, missing_ms = NULL,
                    verified = CASE status WHEN 'HELD' THEN verified ELSE 0 END, version = version + 1
                WHERE id = :id AND status IN ('HELD', 'FAILED', 'DROPPED', 'AMOUNT_UNSUPPORTED')
                """#,
            "set_genesis": #"""
                -- Keeps the hash of a chain's first block, once.
                -- in:  :name TEXT, :genesis TEXT
                -- 1: kept, 0: there is one already
                UPDATE chains SET genesis = :genesis WHERE name = :name AND genesis = ''
                """#,
            "status_counts": #"""
                -- How many deposits of each chain are in each status.
                -- out: chain TEXT, status TEXT, count INTEGER
                SELECT chain, status, count(*) FROM deposits GROUP BY chain, status ORDER BY chain, status
                """#,
            "stuck": #"""
                -- Deposits that have come to no end, the oldest first.
                -- in:  :before INTEGER (created before this instant), :limit INTEGER
                -- out: id INTEGER or TEXT, chain TEXT, tx_hash TEXT, status TEXT, confirmations INTEGER, created_ms INTEGER, reason TEXT
                SELECT id, chain, tx_hash, status, confirmations, created_ms, reason FROM deposits
                WHERE status IN ('PENDING', 'CONFIRMING', 'CONFIRMED', 'HELD', 'REVERSAL_REQUIRED') AND created_ms < :before
                ORDER BY created_ms, id LIMIT :limit
                """#,
            "update_deposit": #"""
                -- Writes what the chain says of a deposit, if it is still what was read.
                -- in:  :id TEXT, :version INTEGER, :old_status TEXT, :status TEXT, :block INTEGER or NULL, :block_hash TEXT or NULL,
                --      :confirmations INTEGER, :reason TEXT, :verified INTEGER (0, 1), :watched INTEGER (0, 1),
                --      :missing_ms INTEGER or NULL, :now INTEGER
                -- 1: done, 0: somebody was faster
                UPDATE deposits
                SET status = :status, block = :block, block_hash = :block_hash, confirmations = :confirmations, reason = :reason,
                    verified = :verified, watched = :watched, missing_ms = :missing_ms, version = version + 1,
                    confirmed_ms = CASE WHEN :status = 'CONFIRMED' AND status <> 'CONFIRMED' THEN :now ELSE confirmed_ms END
                WHERE id = :id AND version = :version AND status = :old_status
                """#,
            "waiting": #"""
                -- Confirmed deposits that nobody has credited.
                -- in:  :before INTEGER (confirmed before this instant)
                -- out: count INTEGER, oldest_ms INTEGER or NULL
                SELECT count(*), min(coalesce(confirmed_ms, created_ms)) FROM deposits
                WHERE status = 'CONFIRMED' AND coalesce(confirmed_ms, created_ms) < :before
                """#,
            "watched": #"""
                -- Deposits that a new block or a reorganisation may change.
                -- out: id INTEGER or TEXT, wallet_id INTEGER, currency TEXT (the wallet's), chain TEXT, tx_hash TEXT, ordinal INTEGER,
                --      address TEXT ('': not told), token TEXT ('': native), units TEXT or NULL, amount TEXT, status TEXT,
                --      block INTEGER or NULL, block_hash TEXT or NULL, confirmations INTEGER, reason TEXT, verified INTEGER (0, 1),
                --      watched INTEGER (0, 1), missing_ms INTEGER or NULL, version INTEGER, created_ms INTEGER
                SELECT d.id, d.wallet_id, w.currency, d.chain, d.tx_hash, d.ordinal, d.address, d.token, d.units, d.amount,
                       d.status, d.block, d.block_hash, d.confirmations, d.reason, d.verified, d.watched, d.missing_ms, d.version,
                       d.created_ms
                FROM deposits d JOIN wallets w ON w.id = d.wallet_id
                WHERE d.watched = 1 AND d.status IN ('PENDING', 'CONFIRMING', 'CONFIRMED', 'HELD', 'CREDITED', 'REVERSAL_REQUIRED')
                ORDER BY d.chain, d.id
                """#,
        ],
        postgresql: [
            "address_owner": #"""
                -- Whose address that is.
                -- in:  :chain text, :address text (as the chain writes it; 0x… in lower case)
                -- out: owner text
                SELECT owner FROM deposit_addresses WHERE chain = :chain AND lower(address) = lower(:address)
                """#,
            "deposit": #"""
                -- One deposit, as watched; nobody else moves it until the transaction ends.
                -- in:  :id text
                SELECT d.id, d.wallet_id, w.currency, d.chain, d.tx_hash, d.ordinal, d.address, d.token, d.units, d.amount,
                       d.status, d.block, d.block_hash, d.confirmations, d.reason, d.verified, d.watched, d.missing_ms, d.version,
                       d.created_ms
                FROM deposits d JOIN wallets w ON w.id = d.wallet_id
                WHERE d.id = :id
                FOR UPDATE OF d
                """#,
            "put_deposit": #"""
                -- A deposit that was found in a block; one that was dropped comes back.
                -- in:  :wallet bigint, :chain text, :tx_hash text, :ordinal bigint, :address text, :token text, :units text,
                --      :amount numeric, :status text (PENDING, AMOUNT_UNSUPPORTED), :reason text, :now bigint
                -- 1: new or back, 0: it is known
                INSERT INTO deposits (wallet_id, chain, tx_hash, ordinal, address, token, units, amount, status, reason, watched, created_ms)
                VALUES (:wallet, :chain, :tx_hash, :ordinal, :address, :token, :units, :amount, :status, :reason,
                        CASE :status WHEN 'PENDING' THEN 1 ELSE 0 END, :now)
                ON CONFLICT (chain, lower(tx_hash), ordinal) DO UPDATE
                SET status = 'PENDING', reason = '', watched = 1, verified = 0, missing_ms = NULL, version = deposits.version + 1
                WHERE deposits.status = 'DROPPED'
                """#,
        ])
}
