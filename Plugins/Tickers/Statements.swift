// Written by scripts/embed-sql from sql/. Edit those files, not this one.
import ExchangeKit

extension StatementSet {
    static let tickers = StatementSet(
        "tickers", shared: [.checkpoints, .pairKeys],
        sqlite: [
            "delisted": #"""
                -- Pairs that are not traded any more and still have a window or a ticker.
                -- out: id INTEGER
                SELECT id FROM pairs
                WHERE active = 0
                  AND (EXISTS (SELECT 1 FROM ticker_windows w WHERE w.pair_id = pairs.id) OR EXISTS (SELECT 1 FROM tickers t WHERE t.pair_id = pairs.id))
                """#,
            "drop_extreme": #"""
                -- A candidate that is none any more.
                -- in:  :pair INTEGER, :kind TEXT, :ts_ms INTEGER, :id INTEGER
                DELETE FROM ticker_extremes WHERE pair_id = :pair AND kind = :kind AND ts_ms = :ts_ms AND id = :id
                """#,
            "drop_extremes": #"""
                -- Candidates that have left the window.
                -- in:  :pair INTEGER, :kind TEXT, :before INTEGER
                DELETE FROM ticker_extremes WHERE pair_id = :pair AND kind = :kind AND ts_ms < :before
                """#,
            "drop_ticker": #"""
                -- A pair that is not traded any more has no ticker.
                -- in:  :pair INTEGER
                DELETE FROM tickers WHERE pair_id = :pair
                """#,
            "drop_window": #"""
                -- Forgets what is known of a pair: the next run makes it anew.
                -- in:  :pair INTEGER
                DELETE FROM ticker_windows WHERE pair_id = :pair
                """#,
            "due_windows": #"""
                -- Active pairs for which something is to be done though nothing was traded: trades leave the
                -- window or enter it because time has passed, the pair is new, its clock was set back, or all
                -- is to be counted once more (one pair in each run).
                -- in:  :now INTEGER, :length INTEGER (of the window), :built_before INTEGER
                -- out: id INTEGER, rebuild INTEGER (0, 1)
                SELECT p.id, w.pair_id IS NULL OR coalesce(p.clock_ms, :now) < w.until_ms - 60000 OR w.pair_id IS NOT DISTINCT FROM r.pair_id
                FROM pairs p
                LEFT JOIN ticker_windows w ON w.pair_id = p.id
                LEFT JOIN (SELECT pair_id FROM ticker_windows WHERE built_ms < :built_before ORDER BY built_ms LIMIT 1) r ON TRUE
                WHERE p.active = 1
                  AND (w.pair_id IS NULL OR w.first_ms < coalesce(p.clock_ms, :now) - :length OR w.newest_ms >= w.until_ms
                       OR coalesce(p.clock_ms, :now) < w.until_ms - 60000 OR w.pair_id = r.pair_id)
                ORDER BY p.id
                """#,
            "extreme": #"""
                -- The highest or lowest of a pair's window.
                -- in:  :pair INTEGER, :kind TEXT (high, low)
                -- out: price TEXT
                SELECT price FROM ticker_extremes WHERE pair_id = :pair AND kind = :kind ORDER BY ts_ms, id LIMIT 1
                """#,
            "extreme_after": #"""
                -- The best candidate after a trade.
                -- in:  :pair INTEGER, :kind TEXT, :ts_ms INTEGER, :id INTEGER
                -- out: price TEXT
                SELECT price FROM ticker_extremes
                WHERE pair_id = :pair AND kind = :kind AND (ts_ms, id) > (:ts_ms, :id) ORDER BY ts_ms, id LIMIT 1
                """#,
            "extreme_before": #"""
                -- The worst candidate before a trade.
                -- in:  :pair INTEGER, :kind TEXT, :ts_ms INTEGER, :id INTEGER
                -- out: price TEXT, ts_ms INTEGER, id INTEGER
                SELECT price, ts_ms, id FROM ticker_extremes
                WHERE pair_id = :pair AND kind = :kind AND (ts_ms, id) < (:ts_ms, :id) ORDER BY ts_ms DESC, id DESC LIMIT 1
                """#,
            "keep_valid": #"""
                -- Tickers that are as they were are valid for longer.
                -- in:  :valid_until INTEGER
                UPDATE tickers SET valid_until_ms = :valid_until
                WHERE valid_until_ms <> :valid_until
                  AND pair_id IN (SELECT w.pair_id FROM ticker_windows w JOIN pairs p ON p.id = w.pair_id WHERE p.active = 1)
                """#,
            "new_trades": #"""
                -- Trades in the order in which they arrived. seq never decreases and is never used twice.
                -- in:  :after INTEGER (a seq), :limit INTEGER
                -- out: id INTEGER, ts_ms INTEGER, price TEXT, amount TEXT, seq INTEGER, pair_id INTEGER
                SELECT id, ts_ms, price, amount, seq, pair_id FROM trades WHERE seq > :after ORDER BY seq LIMIT :limit
                """#,
            "newest_seq": #"""
                -- How far one can read.
                -- out: seq INTEGER (0: there are no trades)
                SELECT coalesce(max(seq), 0) FROM trades
                """#,
            "pairs": #"""
                -- All pairs. clock_ms: the pair's own time, where it is not the real one (a simulated or replayed
                -- market).
                -- out: id INTEGER, symbol TEXT, active INTEGER (0, 1), clock_ms INTEGER or NULL
                SELECT id, symbol, active, clock_ms FROM pairs ORDER BY id
                """#,
            "put_extreme": #"""
                -- A new candidate.
                -- in:  :pair INTEGER, :kind TEXT, :ts_ms INTEGER, :id INTEGER, :price TEXT
                INSERT INTO ticker_extremes (pair_id, kind, ts_ms, id, price) VALUES (:pair, :kind, :ts_ms, :id, :price)
                ON CONFLICT (pair_id, kind, ts_ms, id) DO UPDATE SET price = excluded.price
                """#,
            "put_ticker": #"""
                -- Writes a ticker.
                -- in:  by name, as the columns of the table
                INSERT INTO tickers (pair_id, last, open, high, low, change, change_percent, volume, quote_volume, trades, valid_until_ms)
                VALUES (:pair, :last, :open, :high, :low, :change, :change_percent, :volume, :quote_volume, :trades, :valid_until)
                ON CONFLICT (pair_id) DO UPDATE
                SET last = excluded.last, open = excluded.open, high = excluded.high, low = excluded.low, change = excluded.change,
                    change_percent = excluded.change_percent, volume = excluded.volume, quote_volume = excluded.quote_volume,
                    trades = excluded.trades, valid_until_ms = excluded.valid_until_ms
                """#,
            "put_window": #"""
                -- Writes what is known of a pair.
                -- in:  by name, as the columns of the table
                INSERT INTO ticker_windows (pair_id, from_ms, until_ms, trades, volume, quote_volume, first_ms, first_id, first_price,
                                            last_ms, last_id, last_price, newest_ms, built_seq, built_ms)
                VALUES (:pair, :from_ms, :until_ms, :trades, :volume, :quote_volume, :first_ms, :first_id, :first_price,
                        :last_ms, :last_id, :last_price, :newest_ms, :built_seq, :built_ms)
                ON CONFLICT (pair_id) DO UPDATE
                SET from_ms = excluded.from_ms, until_ms = excluded.until_ms, trades = excluded.trades, volume = excluded.volume,
                    quote_volume = excluded.quote_volume, first_ms = excluded.first_ms, first_id = excluded.first_id,
                    first_price = excluded.first_price, last_ms = excluded.last_ms, last_id = excluded.last_id,
                    last_price = excluded.last_price, newest_ms = excluded.newest_ms, built_seq = excluded.built_seq,
                    built_ms = excluded.built_ms
                """#,
            "ticker_ages": #"""
                -- How long the ticker of each active pair may still be shown.
                -- out: symbol TEXT, valid_until_ms INTEGER or NULL (there is none), is_traded INTEGER (0, 1: it has
                --      trades)
                SELECT p.symbol, t.valid_until_ms, EXISTS (SELECT 1 FROM trades WHERE pair_id = p.id)
                FROM pairs p LEFT JOIN tickers t ON t.pair_id = p.id WHERE p.active = 1 ORDER BY p.id
                """#,
            "trades_before": #"""
                -- Trades of a pair before an instant that had arrived by a seq, the newest first.
                -- in:  :pair INTEGER, :until INTEGER, :upto INTEGER (a seq), :limit INTEGER
                -- out: id INTEGER, ts_ms INTEGER, price TEXT, amount TEXT
                SELECT id, ts_ms, price, amount FROM trades
                WHERE pair_id = :pair AND ts_ms < :until AND seq <= :upto ORDER BY ts_ms DESC, id DESC LIMIT :limit
                """#,
            "trades_between": #"""
                -- Trades of a pair in [from, until) that had arrived by a seq, in their order.
                -- in:  :pair INTEGER, :from INTEGER, :until INTEGER, :upto INTEGER (a seq), :limit INTEGER
                -- out: id INTEGER, ts_ms INTEGER, price TEXT, amount TEXT
                SELECT id, ts_ms, price, amount FROM trades
                WHERE pair_id = :pair AND ts_ms >= :from AND ts_ms < :until AND seq <= :upto ORDER BY ts_ms, id LIMIT :limit
                """#,
            "trades_from": #"""
                -- When the newest trade of a pair at or after an instant was, of those that had arrived by a seq.
                -- in:  :pair INTEGER, :from INTEGER, :upto INTEGER (a seq)
                -- out: ts_ms INTEGER
                SELECT ts_ms FROM trades
                WHERE pair_id = :pair AND ts_ms >= :from AND seq <= :upto ORDER BY ts_ms DESC, id DESC LIMIT 1
                """#,
            "unread_trades": #"""
                -- How many trades have come since.
                -- in:  :after INTEGER (a seq)
                -- out: count INTEGER
                SELECT count(*) FROM trades WHERE seq > :after
                """#,
            "window": #"""
                -- What is known of a pair.
                -- in:  :pair INTEGER
                -- out: as the columns of ticker_windows from from_ms on
                SELECT from_ms, until_ms, trades, volume, quote_volume, first_ms, first_id, first_price,
                       last_ms, last_id, last_price, newest_ms, built_seq, built_ms
                FROM ticker_windows WHERE pair_id = :pair
                """#,
        ],
        postgresql: [
            "new_trades": #"""
                -- Trades in the order in which they arrived. Commits do not come in the order of numbers, so one
                -- goes on by transactions, to where all older ones have ended; none is ever read in part.
                -- in:  :after bigint (a transaction), :limit bigint (more of the last transaction come with it)
                -- out: id bigint, ts_ms bigint, price numeric, amount numeric, tx bigint, pair_id bigint
                SELECT id, ts_ms, price, amount, tx, pair_id FROM trades
                WHERE tx > :after AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                ORDER BY tx FETCH FIRST :limit ROWS WITH TIES
                """#,
            "newest_seq": #"""
                -- How far one can read: the newest transaction with trades before the oldest that has not ended.
                -- out: tx bigint (0: there are no trades)
                SELECT coalesce((SELECT tx FROM trades WHERE tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                                 ORDER BY tx DESC LIMIT 1), 0)
                """#,
            "trades_before": #"""
                -- Trades of a pair before an instant that had arrived with a transaction, the newest first.
                -- in:  :pair bigint, :until bigint, :upto bigint (a transaction), :limit bigint
                -- out: id bigint, ts_ms bigint, price numeric, amount numeric
                SELECT id, ts_ms, price, amount FROM trades
                WHERE pair_id = :pair AND ts_ms < :until AND tx <= :upto ORDER BY ts_ms DESC, id DESC LIMIT :limit
                """#,
            "trades_between": #"""
                -- Trades of a pair in [from, until) that had arrived with a transaction, in their order.
                -- in:  :pair bigint, :from bigint, :until bigint, :upto bigint (a transaction), :limit bigint
                -- out: id bigint, ts_ms bigint, price numeric, amount numeric
                SELECT id, ts_ms, price, amount FROM trades
                WHERE pair_id = :pair AND ts_ms >= :from AND ts_ms < :until AND tx <= :upto ORDER BY ts_ms, id LIMIT :limit
                """#,
            "trades_from": #"""
                -- When the newest trade of a pair at or after an instant was, of those that had arrived with a
                -- transaction.
                -- in:  :pair bigint, :from bigint, :upto bigint (a transaction)
                -- out: ts_ms bigint
                SELECT ts_ms FROM trades
                WHERE pair_id = :pair AND ts_ms >= :from AND tx <= :upto ORDER BY ts_ms DESC, id DESC LIMIT 1
                """#,
            "unread_trades": #"""
                -- How many trades have come since.
                -- in:  :after bigint (a transaction)
                -- out: count bigint
                SELECT count(*) FROM trades WHERE tx > :after
                """#,
        ])
}
