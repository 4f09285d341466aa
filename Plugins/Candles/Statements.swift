// Written by scripts/embed-sql from sql/. Edit those files, not this one.
import ExchangeKit

extension StatementSet {
    static let candles = StatementSet(
        "candles", shared: [.checkpoints, .outbox, .pairKeys],
        sqlite: [
            "candle": #"""
                -- One candle.
                -- in:  :pair INTEGER, :interval TEXT, :open_ms INTEGER
                -- out: open, high, low, close, volume, quote_volume TEXT; trades, first_ms, first_id,
                --      last_ms, last_id, closed INTEGER
                SELECT open, high, low, close, volume, quote_volume, trades, first_ms, first_id, last_ms, last_id, closed
                FROM candles WHERE pair_id = :pair AND interval = :interval AND open_ms = :open_ms
                """#,
            "candle_before": #"""
                -- When the newest candle that opened at or before an instant did.
                -- in:  :pair INTEGER, :interval TEXT, :at INTEGER
                -- out: open_ms INTEGER
                SELECT open_ms FROM candles
                WHERE pair_id = :pair AND interval = :interval AND open_ms <= :at ORDER BY open_ms DESC LIMIT 1
                """#,
            "candles_from": #"""
                -- Candles of a pair from an instant on, oldest first.
                -- in:  :pair INTEGER, :interval TEXT, :from INTEGER, :limit INTEGER
                -- out: open_ms INTEGER, then as candle
                SELECT open_ms, open, high, low, close, volume, quote_volume, trades, first_ms, first_id, last_ms, last_id, closed
                FROM candles WHERE pair_id = :pair AND interval = :interval AND open_ms >= :from ORDER BY open_ms LIMIT :limit
                """#,
            "clear_interval": #"""
                -- Forgets all candles of an interval: it is made anew from the 1m candles.
                -- in:  :interval TEXT
                DELETE FROM candles WHERE interval = :interval
                """#,
            "close_candles": #"""
                -- Closes the candles of a pair that are over.
                -- in:  :pair INTEGER, :interval TEXT, :now INTEGER
                UPDATE candles SET closed = 1
                WHERE pair_id = :pair AND interval = :interval AND closed = 0 AND close_ms <= :now
                """#,
            "count_candles": #"""
                -- How many candles a pair has in [from, to), and when its first one opened.
                -- in:  :pair INTEGER, :interval TEXT, :from INTEGER, :to INTEGER
                -- out: count INTEGER, first_ms INTEGER or NULL
                SELECT (SELECT count(*) FROM candles
                        WHERE pair_id = :pair AND interval = :interval AND open_ms >= :from AND open_ms < :to),
                       (SELECT min(open_ms) FROM candles WHERE pair_id = :pair AND interval = :interval)
                """#,
            "insert_candle": #"""
                -- A new candle.
                -- in:  by name, as the columns of the table
                -- 1: done, 0: it is there already
                INSERT INTO candles (pair_id, interval, open_ms, close_ms, open, high, low, close, volume, quote_volume,
                                     trades, first_ms, first_id, last_ms, last_id, closed)
                VALUES (:pair, :interval, :open_ms, :close_ms, :open, :high, :low, :close, :volume, :quote_volume,
                        :trades, :first_ms, :first_id, :last_ms, :last_id, :closed)
                ON CONFLICT (pair_id, interval, open_ms) DO NOTHING
                """#,
            "last_closed": #"""
                -- When the newest closed candle opened.
                -- in:  :pair INTEGER, :interval TEXT
                -- out: open_ms INTEGER
                SELECT open_ms FROM candles
                WHERE pair_id = :pair AND interval = :interval AND closed = 1 ORDER BY open_ms DESC LIMIT 1
                """#,
            "minutes_that_differ": #"""
                -- Minutes since :back before now whose candle is not made of as many trades as there are.
                -- in:  :now INTEGER, :back INTEGER (milliseconds), :read INTEGER (the newest seq that was read)
                -- out: pair_id INTEGER, open_ms INTEGER
                SELECT d.pair_id, d.open_ms
                FROM (SELECT t.pair_id, t.ts_ms - t.ts_ms % 60000 AS open_ms, count(*) AS trades
                      FROM pairs p JOIN trades t ON t.pair_id = p.id
                      WHERE t.ts_ms >= (coalesce(p.clock_ms, :now) - :back) / 60000 * 60000 AND t.seq <= :read
                      GROUP BY t.pair_id, t.ts_ms - t.ts_ms % 60000) d
                LEFT JOIN candles c ON c.pair_id = d.pair_id AND c.interval = '1m' AND c.open_ms = d.open_ms
                WHERE d.trades <> coalesce(c.trades, 0) ORDER BY d.pair_id, d.open_ms
                """#,
            "minutes_without_candle": #"""
                -- Minutes of the last day in which a pair was traded and has no candle. By rights there are none.
                -- in:  :now INTEGER, :read INTEGER (the newest seq that was read)
                -- out: symbol TEXT, minutes INTEGER, first_ms INTEGER
                SELECT p.symbol, count(DISTINCT t.ts_ms / 60000), min(t.ts_ms)
                FROM pairs p JOIN trades t ON t.pair_id = p.id
                WHERE p.active = 1 AND t.ts_ms >= coalesce(p.clock_ms, :now) - 86400000 AND t.seq <= :read
                  AND NOT EXISTS (SELECT 1 FROM candles c
                                  WHERE c.pair_id = p.id AND c.interval = '1m' AND c.open_ms = t.ts_ms - t.ts_ms % 60000)
                GROUP BY p.id ORDER BY p.id
                """#,
            "new_trades": #"""
                -- Trades in the order in which they arrived. seq never decreases and is never used twice.
                -- in:  :after INTEGER (a seq), :limit INTEGER
                -- out: seq INTEGER, pair_id INTEGER, id INTEGER, ts_ms INTEGER, price TEXT, amount TEXT
                SELECT seq, pair_id, id, ts_ms, price, amount FROM trades WHERE seq > :after ORDER BY seq LIMIT :limit
                """#,
            "pair_progress": #"""
                -- How far the trades and the minute candles of each active pair are.
                -- in:  :now INTEGER
                -- out: symbol TEXT, clock_ms INTEGER (the pair's own time, or :now), newest_trade_ms INTEGER or
                --      NULL, newest_close_ms INTEGER or NULL (exclusive end of its newest minute candle)
                SELECT p.symbol, coalesce(p.clock_ms, :now),
                       (SELECT max(ts_ms) FROM trades WHERE pair_id = p.id),
                       (SELECT close_ms FROM candles WHERE pair_id = p.id AND interval = '1m' ORDER BY open_ms DESC LIMIT 1)
                FROM pairs p WHERE p.active = 1 ORDER BY p.id
                """#,
            "pairs": #"""
                -- The pairs that candles are made for. clock_ms: the pair's own time, where it is not the
                -- real one (a simulated or replayed market).
                -- out: id INTEGER, symbol TEXT, active INTEGER (0, 1), clock_ms INTEGER or NULL
                SELECT id, symbol, active, clock_ms FROM pairs ORDER BY id
                """#,
            "trades_of_minute": #"""
                -- All trades of a pair in [from, until) that were read.
                -- in:  :pair INTEGER, :from INTEGER, :until INTEGER, :read INTEGER (the newest seq that was read)
                -- out: seq INTEGER, pair_id INTEGER, id INTEGER, ts_ms INTEGER, price TEXT, amount TEXT
                SELECT seq, pair_id, id, ts_ms, price, amount FROM trades
                WHERE pair_id = :pair AND ts_ms >= :from AND ts_ms < :until AND seq <= :read
                """#,
            "unread_trades": #"""
                -- How many trades have come since.
                -- in:  :after INTEGER (a seq)
                -- out: count INTEGER
                SELECT count(*) FROM trades WHERE seq > :after
                """#,
            "update_candle": #"""
                -- Rewrites a candle that is there; whether it is closed stays.
                -- in:  by name, as the columns of the table
                UPDATE candles
                SET open = :open, high = :high, low = :low, close = :close, volume = :volume, quote_volume = :quote_volume,
                    trades = :trades, first_ms = :first_ms, first_id = :first_id, last_ms = :last_ms, last_id = :last_id
                WHERE pair_id = :pair AND interval = :interval AND open_ms = :open_ms
                """#,
        ],
        postgresql: [
            "minutes_that_differ": #"""
                -- Minutes since :back before now whose candle is not made of as many trades as there are.
                -- in:  :now bigint, :back bigint (milliseconds), :read bigint (the newest transaction that was read)
                -- out: pair_id bigint, open_ms bigint
                SELECT d.pair_id, d.open_ms
                FROM (SELECT t.pair_id, t.ts_ms - t.ts_ms % 60000 AS open_ms, count(*) AS trades
                      FROM pairs p JOIN trades t ON t.pair_id = p.id
                      WHERE t.ts_ms >= (coalesce(p.clock_ms, :now) - :back) / 60000 * 60000 AND t.tx <= :read
                      GROUP BY t.pair_id, t.ts_ms - t.ts_ms % 60000) d
                LEFT JOIN candles c ON c.pair_id = d.pair_id AND c.interval = '1m' AND c.open_ms = d.open_ms
                WHERE d.trades <> coalesce(c.trades, 0) ORDER BY d.pair_id, d.open_ms
                """#,
            "minutes_without_candle": #"""
                -- Minutes of the last day in which a pair was traded and has no candle. By rights there are none.
                -- in:  :now bigint, :read bigint (the newest transaction that was read)
                -- out: symbol text, minutes bigint, first_ms bigint
                SELECT p.symbol, count(DISTINCT t.ts_ms / 60000), min(t.ts_ms)
                FROM pairs p JOIN trades t ON t.pair_id = p.id
                WHERE p.active = 1 AND t.ts_ms >= coalesce(p.clock_ms, :now) - 86400000 AND t.tx <= :read
                  AND NOT EXISTS (SELECT 1 FROM candles c
                                  WHERE c.pair_id = p.id AND c.interval = '1m' AND c.open_ms = t.ts_ms - t.ts_ms % 60000)
                GROUP BY p.id, p.symbol ORDER BY p.id
                """#,
            "new_trades": #"""
                -- Trades in the order in which they arrived. Commits do not come in the order of numbers, so one
                -- goes on by transactions, to where all older ones have ended; none is ever read in part.
                -- in:  :after bigint (a transaction), :limit bigint (more of the last transaction come with it)
                -- out: tx bigint, pair_id bigint, id bigint, ts_ms bigint, price numeric, amount numeric
                SELECT tx, pair_id, id, ts_ms, price, amount FROM trades
                WHERE tx > :after AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                ORDER BY tx FETCH FIRST :limit ROWS WITH TIES
                """#,
            "trades_of_minute": #"""
                -- All trades of a pair in [from, until) that were read.
                -- in:  :pair bigint, :from bigint, :until bigint, :read bigint (the newest transaction that was read)
                -- out: tx bigint, pair_id bigint, id bigint, ts_ms bigint, price numeric, amount numeric
                SELECT tx, pair_id, id, ts_ms, price, amount FROM trades
                WHERE pair_id = :pair AND ts_ms >= :from AND ts_ms < :until AND tx <= :read
                """#,
            "unread_trades": #"""
                -- How many trades have come since.
                -- in:  :after bigint (a transaction)
                -- out: count bigint
                SELECT count(*) FROM trades WHERE tx > :after
                """#,
        ])
}
