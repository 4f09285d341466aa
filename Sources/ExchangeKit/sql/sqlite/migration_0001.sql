-- The exchange, version 1.
--
-- Amounts are TEXT, the canonical decimal of Amount ("0.00141342"): exact, readable, and
-- STRICT tables keep what is put in. Sums are made by the programs, not by SQL, whose
-- arithmetic is binary. Instants are INTEGER milliseconds since 1970 UTC, names end in _ms.

-- One row: what this database is for, and of which version these tables are. 'simulation' is set
-- when it is created, never later.
CREATE TABLE exchange_info (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    purpose        TEXT    NOT NULL CHECK (purpose IN ('live', 'simulation')),
    schema_version INTEGER NOT NULL,
    created_ms     INTEGER NOT NULL
) STRICT;

-- How far somebody has read, written in the transaction of the effect.
CREATE TABLE checkpoints (
    name       TEXT    PRIMARY KEY,
    position   INTEGER NOT NULL,
    note       TEXT    NOT NULL DEFAULT '',
    updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened, for others to read; written in the transaction in which it happened.
CREATE TABLE outbox_events (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    event      TEXT    NOT NULL,           -- CandleCorrected, MarginCallIssued, …
    key        TEXT    NOT NULL UNIQUE,    -- of the cause: the second one is no event
    payload    TEXT    NOT NULL,           -- JSON
    created_ms INTEGER NOT NULL,
    sent_ms    INTEGER
) STRICT;
CREATE INDEX outbox_unsent ON outbox_events (seq) WHERE sent_ms IS NULL;

CREATE TABLE activity_log (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    actor      TEXT    NOT NULL,           -- the job
    action     TEXT    NOT NULL,           -- 'position.liquidate'
    subject    TEXT    NOT NULL,           -- 'position:17'
    detail     TEXT    NOT NULL DEFAULT '{}',
    created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX activity_by_subject ON activity_log (subject, seq);

-- ---------------------------------------------------------------- market

CREATE TABLE pairs (
    id            INTEGER PRIMARY KEY,
    symbol        TEXT    NOT NULL UNIQUE, -- 'XRP/ETH'
    base          TEXT    NOT NULL,
    quote         TEXT    NOT NULL,
    contract_size TEXT    NOT NULL DEFAULT '1',
    size_step     TEXT    NOT NULL DEFAULT '0',
    active        INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    -- A simulated or replayed market's own time; NULL: real time.
    clock_ms      INTEGER,
    simulation    TEXT,
    created_ms    INTEGER NOT NULL
) STRICT;

-- seq is the order of arrival, by which readers go on; id is the market's own number, which
-- orders trades of the same millisecond and makes a second delivery harmless.
CREATE TABLE trades (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    pair_id INTEGER NOT NULL REFERENCES pairs (id),
    id      INTEGER NOT NULL,
    ts_ms   INTEGER NOT NULL,
    side    TEXT    NOT NULL CHECK (side IN ('buy', 'sell')),
    price   TEXT    NOT NULL,
    amount  TEXT    NOT NULL,
    UNIQUE (pair_id, id)
) STRICT;
CREATE INDEX trades_by_time ON trades (pair_id, ts_ms, id);

-- Numbers for pairs that a platform knows by something else (a uuid), given once: the tables below
-- know pairs by number. Empty where pairs.id is one.
CREATE TABLE pair_keys (
    id  INTEGER PRIMARY KEY,
    key TEXT    NOT NULL UNIQUE
) STRICT;

-- first_* and last_* name the trades that gave open and close, so that a late trade can be
-- put in without reading the others again. A flat candle (no trades) has zeros there.
CREATE TABLE candles (
    pair_id      INTEGER NOT NULL,
    interval     TEXT    NOT NULL,         -- 1m 5m 15m 30m 1h 4h 1d 1w 1M
    open_ms      INTEGER NOT NULL,
    close_ms     INTEGER NOT NULL,         -- exclusive
    open         TEXT    NOT NULL,
    high         TEXT    NOT NULL,
    low          TEXT    NOT NULL,
    close        TEXT    NOT NULL,
    volume       TEXT    NOT NULL,
    quote_volume TEXT    NOT NULL,
    trades       INTEGER NOT NULL,
    closed       INTEGER NOT NULL CHECK (closed IN (0, 1)),
    first_ms     INTEGER NOT NULL,
    first_id     INTEGER NOT NULL,
    last_ms      INTEGER NOT NULL,
    last_id      INTEGER NOT NULL,
    PRIMARY KEY (pair_id, interval, open_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX candles_forming ON candles (pair_id, interval, close_ms) WHERE closed = 0;

-- Every price that came in, in real time.
CREATE TABLE quotes (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    pair_id INTEGER NOT NULL REFERENCES pairs (id),
    ts_ms   INTEGER NOT NULL,
    bid     TEXT    NOT NULL,
    ask     TEXT    NOT NULL
) STRICT;
CREATE INDEX quotes_by_pair ON quotes (pair_id, seq);
CREATE INDEX quotes_by_time ON quotes (ts_ms);
CREATE INDEX quotes_by_pair_and_time ON quotes (pair_id, ts_ms);

-- The last 24 hours of a pair; without a trade in them, its last price and zeros. A reader may
-- show it until valid_until_ms (in real time).
CREATE TABLE tickers (
    pair_id        INTEGER PRIMARY KEY,
    last           TEXT    NOT NULL,
    open           TEXT    NOT NULL,
    high           TEXT    NOT NULL,
    low            TEXT    NOT NULL,
    change         TEXT    NOT NULL,
    change_percent TEXT    NOT NULL,
    volume         TEXT    NOT NULL,       -- in the base currency
    quote_volume   TEXT    NOT NULL,
    trades         INTEGER NOT NULL,
    valid_until_ms INTEGER NOT NULL
) STRICT;

-- What a ticker is made of: the trades of [from_ms, until_ms) as far as they were read, and who
-- among them came first. last_*: the newest before until_ms, in the window or not. newest_ms:
-- of all that were read; where it is not before until_ms, trades wait for their time.
CREATE TABLE ticker_windows (
    pair_id      INTEGER PRIMARY KEY,
    from_ms      INTEGER NOT NULL,
    until_ms     INTEGER NOT NULL,
    trades       INTEGER NOT NULL,
    volume       TEXT    NOT NULL,
    quote_volume TEXT    NOT NULL,
    first_ms     INTEGER,
    first_id     INTEGER,
    first_price  TEXT,
    last_ms      INTEGER,
    last_id      INTEGER,
    last_price   TEXT,
    newest_ms    INTEGER,
    built_seq    INTEGER NOT NULL,         -- made from all trades up to this one …
    built_ms     INTEGER NOT NULL          -- … then, in real time
) STRICT;

-- Who may still become the highest (lowest) of a window: trades that no later one is as high
-- (low) as. The oldest of them is it.
CREATE TABLE ticker_extremes (
    pair_id INTEGER NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('high', 'low')),
    ts_ms   INTEGER NOT NULL,
    id      INTEGER NOT NULL,
    price   TEXT    NOT NULL,
    PRIMARY KEY (pair_id, kind, ts_ms, id)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- money

CREATE TABLE wallets (
    id              INTEGER PRIMARY KEY,
    owner           TEXT    NOT NULL,      -- 'user:7', 'account:12', 'platform:trading'
    currency        TEXT    NOT NULL,
    available       TEXT    NOT NULL DEFAULT '0',
    locked          TEXT    NOT NULL DEFAULT '0',
    may_be_negative INTEGER NOT NULL DEFAULT 0 CHECK (may_be_negative IN (0, 1)),
    UNIQUE (owner, currency)
) STRICT;

-- Why money moved. The primary key makes a second application impossible.
CREATE TABLE ledger_causes (
    cause      TEXT    PRIMARY KEY,        -- 'liquidation:17:3'
    kind       TEXT    NOT NULL,           -- 'liquidation'
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_causes_by_time ON ledger_causes (created_ms);

-- The entries of a cause add up to zero in every currency.
CREATE TABLE ledger_entries (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    cause     TEXT    NOT NULL REFERENCES ledger_causes (cause),
    wallet_id INTEGER NOT NULL REFERENCES wallets (id),
    bucket    TEXT    NOT NULL CHECK (bucket IN ('available', 'locked')),
    amount    TEXT    NOT NULL
) STRICT;
CREATE INDEX ledger_by_wallet ON ledger_entries (wallet_id, id);
CREATE INDEX ledger_by_cause ON ledger_entries (cause);

CREATE TABLE orders (
    id         INTEGER PRIMARY KEY,
    owner      TEXT    NOT NULL,
    pair_id    INTEGER NOT NULL REFERENCES pairs (id),
    side       TEXT    NOT NULL CHECK (side IN ('buy', 'sell')),
    price      TEXT    NOT NULL,
    amount     TEXT    NOT NULL,
    filled     TEXT    NOT NULL DEFAULT '0',
    locked     TEXT    NOT NULL DEFAULT '0', -- what this order still holds of its wallet
    -- Of a buy, in the quote currency: what was locked for fees, and what of that was charged.
    fee         TEXT   NOT NULL DEFAULT '0',
    fee_charged TEXT   NOT NULL DEFAULT '0',
    status     TEXT    NOT NULL CHECK (status IN ('open', 'partial', 'filled', 'cancelled', 'expiring', 'expired')),
    version    INTEGER NOT NULL DEFAULT 1, -- moves with every change: compare-and-set
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER
) STRICT;
CREATE INDEX orders_due ON orders (expires_ms) WHERE status IN ('open', 'partial') AND expires_ms IS NOT NULL;

-- What became of orders past their time. With engine = 'ack' it is also the desk between the
-- job, which asks, and the matching engine, which writes answer, final_filled, reason and
-- answered_ms.
CREATE TABLE order_expiries (
    order_id     TEXT    PRIMARY KEY,      -- of orders, or of a platform's own table
    state        TEXT    NOT NULL CHECK (state IN ('requested', 'expired', 'left')),
    acted_ms     INTEGER NOT NULL,         -- expired, or first asked for
    asks         INTEGER NOT NULL DEFAULT 0,
    asked_ms     INTEGER,                  -- the newest request
    alerted_ms   INTEGER,                  -- nobody answered it
    answer       TEXT    CHECK (answer IN ('removed', 'refused')),
    final_filled TEXT,                     -- with 'removed': all that was ever filled of it
    reason       TEXT,                     -- with 'refused'
    answered_ms  INTEGER,
    released     TEXT,
    ended_ms     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX order_expiries_waiting ON order_expiries (asked_ms) WHERE state = 'requested';
CREATE INDEX order_expiries_by_time ON order_expiries (acted_ms);

-- ---------------------------------------------------------------- deposits

-- genesis: hash of the first block, kept when it was first seen; another one is another chain.
CREATE TABLE chains (
    name          TEXT    PRIMARY KEY,
    confirmations INTEGER NOT NULL,
    genesis       TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- Written by the listeners of the application.
CREATE TABLE monitors (
    chain        TEXT    PRIMARY KEY REFERENCES chains (name),
    heartbeat_ms INTEGER NOT NULL,
    last_block   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who is paid by what arrives at an address. Addresses compare without case; where it counts
-- (base 58), no two differ in nothing else.
CREATE TABLE deposit_addresses (
    chain   TEXT NOT NULL REFERENCES chains (name),
    address TEXT NOT NULL COLLATE NOCASE,
    owner   TEXT NOT NULL,                    -- of the wallets: 'user:7'
    PRIMARY KEY (chain, address)
) STRICT, WITHOUT ROWID;

-- A transfer is known by chain, transaction and its number among the transaction's transfers,
-- never by its place in a block: a reorganisation brings it back in another one.
CREATE TABLE deposits (
    id            INTEGER PRIMARY KEY,
    wallet_id     INTEGER NOT NULL REFERENCES wallets (id),
    chain         TEXT    NOT NULL REFERENCES chains (name),
    tx_hash       TEXT    NOT NULL COLLATE NOCASE,
    ordinal       INTEGER NOT NULL DEFAULT 0, -- 0: the native coin
    address       TEXT    NOT NULL DEFAULT '', -- paid to; '': not told
    token         TEXT    NOT NULL DEFAULT '', -- contract; '': the native coin
    units         TEXT,                       -- in the smallest unit, of any size; NULL: not told
    amount        TEXT    NOT NULL,           -- in the wallet's currency
    block         INTEGER,
    block_hash    TEXT,
    confirmations INTEGER NOT NULL DEFAULT 0,
    status        TEXT    NOT NULL CHECK (status IN ('PENDING', 'CONFIRMING', 'CONFIRMED', 'CREDITED', 'HELD', 'FAILED',
                                                     'AMOUNT_UNSUPPORTED', 'DROPPED', 'REVERSAL_REQUIRED')),
    reason        TEXT    NOT NULL DEFAULT '',
    -- What the chain says of this transfer in that block was compared with this row.
    verified      INTEGER NOT NULL DEFAULT 0 CHECK (verified IN (0, 1)),
    -- Still looked at by `confirmations`: a reorganisation may take it away.
    watched       INTEGER NOT NULL DEFAULT 1 CHECK (watched IN (0, 1)),
    missing_ms    INTEGER,                    -- since then the chain does not know the transaction
    version       INTEGER NOT NULL DEFAULT 1, -- moves with every change: compare-and-set
    created_ms    INTEGER NOT NULL,
    confirmed_ms  INTEGER,
    credited_ms   INTEGER,
    UNIQUE (chain, tx_hash, ordinal)
) STRICT;
CREATE INDEX deposits_by_status ON deposits (status, id);
CREATE INDEX deposits_watched ON deposits (chain, id) WHERE watched = 1;
CREATE INDEX deposits_credited ON deposits (credited_ms) WHERE credited_ms IS NOT NULL;

-- The chains of the paper adapter: in simulations only.
CREATE TABLE paper_blocks (
    chain  TEXT    NOT NULL REFERENCES chains (name),
    height INTEGER NOT NULL,
    hash   TEXT    NOT NULL,
    PRIMARY KEY (chain, height)
) STRICT, WITHOUT ROWID;

CREATE TABLE paper_transactions (
    chain  TEXT    NOT NULL REFERENCES chains (name),
    hash   TEXT    NOT NULL,
    block  INTEGER,                           -- NULL: waits for a block
    failed INTEGER NOT NULL DEFAULT 0 CHECK (failed IN (0, 1)),
    PRIMARY KEY (chain, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX paper_transactions_by_block ON paper_transactions (chain, block);

CREATE TABLE paper_transfers (
    chain   TEXT    NOT NULL,
    tx_hash TEXT    NOT NULL,
    ordinal INTEGER NOT NULL,
    address TEXT    NOT NULL,
    token   TEXT    NOT NULL DEFAULT '',
    units   TEXT    NOT NULL,
    PRIMARY KEY (chain, tx_hash, ordinal),
    FOREIGN KEY (chain, tx_hash) REFERENCES paper_transactions (chain, hash) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- margin

CREATE TABLE accounts (
    id        INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE,
    currency  TEXT    NOT NULL,
    wallet_id INTEGER NOT NULL UNIQUE REFERENCES wallets (id), -- its balance
    status    TEXT    NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'closed'))
) STRICT;

CREATE TABLE positions (
    id          INTEGER PRIMARY KEY,
    account_id  INTEGER NOT NULL REFERENCES accounts (id),
    pair_id     INTEGER NOT NULL REFERENCES pairs (id),
    side        TEXT    NOT NULL CHECK (side IN ('long', 'short')),
    size        TEXT    NOT NULL,          -- in contracts
    open_price  TEXT    NOT NULL,
    leverage    TEXT    NOT NULL,
    status      TEXT    NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed')),
    version     INTEGER NOT NULL DEFAULT 1, -- moves with every change: compare-and-set
    opened_ms   INTEGER NOT NULL,
    changed_ms  INTEGER,                   -- when this version began; NULL: with opened_ms
    closed_ms   INTEGER,
    close_price TEXT,
    realised    TEXT                       -- profit over all closings, in the account's currency
) STRICT;
CREATE INDEX positions_open ON positions (account_id, id) WHERE status = 'open';
CREATE INDEX positions_by_close ON positions (account_id, closed_ms);

-- What a position was: so that an account can be valued as of an instant, however late.
CREATE TABLE position_history (
    position_id INTEGER NOT NULL REFERENCES positions (id),
    version     INTEGER NOT NULL,
    size        TEXT    NOT NULL,
    open_price  TEXT    NOT NULL,
    until_ms    INTEGER NOT NULL,          -- exclusive: then the next version began
    PRIMARY KEY (position_id, version)
) STRICT, WITHOUT ROWID;
-- Kept by the database, whoever changes a position. The instant is the writer's; the clock
-- stands in for a writer that does not say one.
CREATE TRIGGER positions_history AFTER UPDATE OF version ON positions WHEN NEW.version <> OLD.version
BEGIN
    INSERT INTO position_history (position_id, version, size, open_price, until_ms)
    VALUES (OLD.id, OLD.version, OLD.size, OLD.open_price, CASE
        WHEN NEW.changed_ms IS NOT OLD.changed_ms THEN NEW.changed_ms
        WHEN NEW.closed_ms IS NOT OLD.closed_ms THEN NEW.closed_ms
        ELSE CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) END);
END;

CREATE TABLE margin_calls (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id  INTEGER NOT NULL REFERENCES accounts (id),
    cause       TEXT    NOT NULL UNIQUE,
    level       TEXT    NOT NULL,          -- percent
    equity      TEXT    NOT NULL,
    used_margin TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX margin_calls_by_account ON margin_calls (account_id, id);

CREATE TABLE liquidations (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id       INTEGER NOT NULL REFERENCES accounts (id),
    position_id      INTEGER NOT NULL REFERENCES positions (id),
    position_version INTEGER NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('requested', 'done')),
    size             TEXT    NOT NULL,
    price            TEXT    NOT NULL,
    profit           TEXT    NOT NULL,
    level            TEXT    NOT NULL,     -- percent, before
    created_ms       INTEGER NOT NULL,
    UNIQUE (position_id, position_version)
) STRICT;
CREATE INDEX liquidations_by_time ON liquidations (created_ms);

-- ---------------------------------------------------------------- contests

-- Who enters pays into the wallet of the owner 'competition:<id>' in its currency; so does the
-- platform, for prizes of its own. From there prizes, refunds and the platform's part are paid.
--
-- open → running → ending (equity is frozen) → paying → ended
--                       └→ refunding → refunded; an application that cancels sets refunding
CREATE TABLE competitions (
    id           INTEGER PRIMARY KEY,
    kind         TEXT    NOT NULL CHECK (kind IN ('competition', 'challenge')),
    name         TEXT    NOT NULL,
    currency     TEXT    NOT NULL,
    prize_pool   TEXT    NOT NULL DEFAULT '0',  -- paid in by the platform, besides the entrants
    prizes       TEXT    NOT NULL DEFAULT '[]', -- JSON: percent of the pot by place, ["50", "30", "20"]
    prize_step   TEXT    NOT NULL DEFAULT '0.01', -- prizes are multiples of it; 0: 18 decimals
    platform_fee TEXT    NOT NULL DEFAULT '0',  -- percent of the pot
    min_entrants INTEGER NOT NULL DEFAULT 2,
    status       TEXT    NOT NULL CHECK (status IN ('open', 'running', 'ending', 'paying', 'ended',
                                                    'refunding', 'refunded')),
    version      INTEGER NOT NULL DEFAULT 1,    -- moves with every change: compare-and-set
    pot          TEXT,                          -- what was there to win, once that is decided
    starts_ms    INTEGER NOT NULL,
    ends_ms      INTEGER NOT NULL
) STRICT;
CREATE INDEX competitions_due ON competitions (kind, ends_ms) WHERE status NOT IN ('ended', 'refunded');

CREATE TABLE participants (
    competition_id INTEGER NOT NULL REFERENCES competitions (id),
    account_id     INTEGER NOT NULL REFERENCES accounts (id), -- with which it trades
    wallet_id      INTEGER NOT NULL REFERENCES wallets (id),  -- which paid, and gets prize or refund
    paid           TEXT    NOT NULL DEFAULT '0', -- entry fee or stake
    start_equity   TEXT    NOT NULL,
    start_ms       INTEGER NOT NULL,             -- when start_equity was taken
    final_equity   TEXT,                         -- at ends_ms
    transferred    TEXT,                         -- paid into the account less out of it meanwhile: no return
    return_percent TEXT,                         -- (final_equity - transferred - start_equity) ÷ start_equity
    place          INTEGER,
    payout         TEXT,                         -- prize or refund; NULL: none, or not decided
    settled_ms     INTEGER,                      -- when payout was paid
    PRIMARY KEY (competition_id, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX participants_settled ON participants (settled_ms) WHERE settled_ms IS NOT NULL;

-- ---------------------------------------------------------------- exchange and minter

-- Orders that were placed elsewhere. executed and average_price are what the exchange has said;
-- settled and settled_quote are what the ledger has moved for it, locked is what it still holds.
CREATE TABLE exchange_orders (
    id             INTEGER PRIMARY KEY,
    exchange       TEXT    NOT NULL,       -- 'binance', 'paper'
    client_id      TEXT    NOT NULL,
    exchange_id    TEXT,
    owner          TEXT,                   -- of the wallets; NULL: nothing is settled here
    pair_id        INTEGER NOT NULL REFERENCES pairs (id),
    side           TEXT    NOT NULL CHECK (side IN ('buy', 'sell')),
    price          TEXT    NOT NULL,
    quantity       TEXT    NOT NULL,
    executed       TEXT    NOT NULL DEFAULT '0',
    average_price  TEXT,
    settled        TEXT    NOT NULL DEFAULT '0', -- of the base
    settled_quote  TEXT    NOT NULL DEFAULT '0',
    locked         TEXT    NOT NULL DEFAULT '0', -- quote of a buy, base of a sell
    status         TEXT    NOT NULL,       -- unsent, pending, new, partial; filled, cancelled, rejected, expired: final
    version        INTEGER NOT NULL DEFAULT 1, -- moves with every change: compare-and-set
    placed_ms      INTEGER,                -- NULL: not sent yet
    last_synced_ms INTEGER,
    UNIQUE (exchange, client_id)
) STRICT;
CREATE INDEX exchange_orders_due ON exchange_orders (exchange, coalesce(last_synced_ms, 0), id)
    WHERE status IN ('pending', 'new', 'partial');

-- Orders (of exchange_orders or of a platform's own table) whose state could not be learned.
CREATE TABLE exchange_order_syncs (
    order_id     TEXT    PRIMARY KEY,
    failures     INTEGER NOT NULL,         -- in a row
    not_found    INTEGER NOT NULL,         -- in a row: "no such order"
    next_sync_ms INTEGER NOT NULL,
    reason       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- What was changed by reconciliation.
CREATE TABLE reconciliations (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id   TEXT    NOT NULL,
    change     TEXT    NOT NULL,           -- 'new 0 -> partial 0.5'
    created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX reconciliations_by_time ON reconciliations (created_ms);

-- A simulation's other exchange, as it would answer.
CREATE TABLE paper_orders (
    exchange_id    TEXT    PRIMARY KEY,
    client_id      TEXT    NOT NULL UNIQUE,
    status         TEXT    NOT NULL,       -- in our words
    executed       TEXT    NOT NULL DEFAULT '0',
    executed_quote TEXT    NOT NULL DEFAULT '0'
) STRICT, WITHOUT ROWID;

-- One for each cause, for ever. requested → sent → minted | failed | unknown → minted | failed
CREATE TABLE mint_requests (
    cause      TEXT    PRIMARY KEY,        -- of the sale; also the minter's idempotency key
    asset_id   TEXT    NOT NULL,
    size       TEXT    NOT NULL,
    status     TEXT    NOT NULL CHECK (status IN ('requested', 'sent', 'minted', 'failed', 'unknown')),
    attempts   INTEGER NOT NULL DEFAULT 0, -- how often it was sent
    reference  TEXT,                       -- the minter's
    reason     TEXT    NOT NULL DEFAULT '',
    version    INTEGER NOT NULL DEFAULT 1, -- moves with every change: compare-and-set
    created_ms INTEGER NOT NULL,           -- of the sale
    sent_ms    INTEGER,                    -- when it was last sent
    updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mint_requests_by_time ON mint_requests (updated_ms);

-- Orders that were placed again: '<client id of the first>-<n>', each once for ever.
CREATE TABLE replacements (
    exchange   TEXT    NOT NULL,
    client_id  TEXT    NOT NULL,
    original   TEXT    NOT NULL,           -- client id of the first
    trade_id   TEXT    NOT NULL,
    quantity   TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (exchange, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX replacements_by_time ON replacements (created_ms);

-- ---------------------------------------------------------------- simulation

CREATE TABLE simulations (
    name        TEXT    PRIMARY KEY,
    mode        TEXT    NOT NULL CHECK (mode IN ('simulated', 'historical', 'realtime')),
    seed        INTEGER NOT NULL,
    ticks       INTEGER NOT NULL DEFAULT 0,
    first_tick  INTEGER NOT NULL DEFAULT 0,  -- since then it is this market: moves with a reset
    epoch       INTEGER NOT NULL DEFAULT 0,  -- how often it was reset or resumed
    clock_ms    INTEGER NOT NULL,          -- the market's time
    owner       TEXT    NOT NULL,          -- the job that drives it …
    ticked_ms   INTEGER NOT NULL,          -- … and when it last did, in real time
    cause       TEXT    NOT NULL DEFAULT '', -- of the newest tick: a retry is no second one
    file        TEXT    NOT NULL DEFAULT '', -- replayed from there …
    file_offset INTEGER NOT NULL DEFAULT 0,  -- … up to this byte …
    file_line   INTEGER NOT NULL DEFAULT 0,  -- … and line
    finished    INTEGER NOT NULL DEFAULT 0 CHECK (finished IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Who trades in a simulation with money of its own: the wallets of the owner 'agent:<simulation>:<name>'.
CREATE TABLE simulation_agents (
    simulation TEXT    NOT NULL REFERENCES simulations (name),
    name       TEXT    NOT NULL,
    strategy   TEXT    NOT NULL,
    currency   TEXT    NOT NULL,
    capital    TEXT    NOT NULL,           -- paid in when it joined
    trades     INTEGER NOT NULL DEFAULT 0,
    fees       TEXT    NOT NULL DEFAULT '0',
    equity     TEXT    NOT NULL,           -- at the newest window it took part in
    joined_ms  INTEGER NOT NULL,           -- the market's time
    PRIMARY KEY (simulation, name)
) STRICT, WITHOUT ROWID;

-- When agents could trade. What they see and pay is of clock_ms, also when a run is repeated later.
CREATE TABLE simulation_windows (
    simulation TEXT    NOT NULL REFERENCES simulations (name),
    opens_ms   INTEGER NOT NULL,           -- the market's time
    clock_ms   INTEGER NOT NULL,           -- … when it was opened
    state      TEXT    NOT NULL CHECK (state IN ('open', 'traded')),
    missed     INTEGER NOT NULL DEFAULT 0, -- windows before it that nobody opened
    trades     INTEGER NOT NULL DEFAULT 0,
    changed_ms INTEGER NOT NULL,           -- real time
    PRIMARY KEY (simulation, opens_ms)
) STRICT, WITHOUT ROWID;

-- What an agent has decided in a window, once: a decision of a model has cost money.
CREATE TABLE simulation_decisions (
    simulation TEXT    NOT NULL REFERENCES simulations (name),
    opens_ms   INTEGER NOT NULL,
    agent      TEXT    NOT NULL,
    decision   TEXT    NOT NULL,           -- JSON
    state      TEXT    NOT NULL CHECK (state IN ('decided', 'done')),
    created_ms INTEGER NOT NULL,           -- real time
    PRIMARY KEY (simulation, opens_ms, agent)
) STRICT, WITHOUT ROWID;

-- What a day of asking models has cost, calls that are under way at their highest price. Not
-- forgotten by a reset: the money is gone.
CREATE TABLE simulation_spending (
    simulation TEXT    NOT NULL,
    day_ms     INTEGER NOT NULL,           -- real time, midnight UTC
    spent      TEXT    NOT NULL,
    calls      INTEGER NOT NULL,
    PRIMARY KEY (simulation, day_ms)
) STRICT, WITHOUT ROWID;

-- Who is at work on a part of a simulation, so that there are never two.
CREATE TABLE simulation_guards (
    simulation TEXT    NOT NULL,
    part       TEXT    NOT NULL,           -- 'trade-window', 'snapshot'
    holder     TEXT    NOT NULL,
    until_ms   INTEGER NOT NULL,           -- real time
    PRIMARY KEY (simulation, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE simulation_snapshots (
    namespace TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    number    INTEGER NOT NULL,            -- rises with each
    taken_ms  INTEGER NOT NULL,            -- real time
    body      TEXT    NOT NULL,            -- as in a file, its checksum included
    PRIMARY KEY (namespace, id, number)
) STRICT, WITHOUT ROWID;

-- What the paper minter and the paper gateway have heard: the memory of peers that are not there.
CREATE TABLE paper_mints (
    key       TEXT PRIMARY KEY,
    asset_id  TEXT NOT NULL,
    size      TEXT NOT NULL,
    status    TEXT NOT NULL CHECK (status IN ('minted', 'failed')),
    reference TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE paper_placements (
    client_id TEXT PRIMARY KEY,
    symbol    TEXT NOT NULL,
    side      TEXT NOT NULL,
    price     TEXT NOT NULL,
    quantity  TEXT NOT NULL,
    executed  TEXT NOT NULL,
    status    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
