// Written by scripts/embed-sql from sql/. Edit those files, not this one.
import ExchangeKit

extension StatementSet {
    static let competitions = StatementSet(
        "competitions", shared: [.activity, .ledger, .outbox],
        sqlite: [
            "contest": #"""
                -- One contest.
                -- in:  :competition
                -- out: id, kind TEXT, name TEXT, currency TEXT, prize_pool TEXT, prizes TEXT (JSON), prize_step TEXT,
                --      platform_fee TEXT, min_entrants INTEGER, status TEXT, version INTEGER, pot TEXT or NULL, ends_ms INTEGER
                SELECT id, kind, name, currency, prize_pool, prizes, prize_step, platform_fee, min_entrants, status, version, pot, ends_ms
                FROM competitions WHERE id = :competition
                """#,
            "contest_accounts": #"""
                -- The accounts of a contest's entrants, as they are now.
                -- in:  :competition
                -- out: account_id, currency TEXT, wallet_id INTEGER, available TEXT, locked TEXT
                SELECT a.id, a.currency, a.wallet_id, w.available, w.locked
                FROM participants p JOIN accounts a ON a.id = p.account_id JOIN wallets w ON w.id = a.wallet_id
                WHERE p.competition_id = :competition
                """#,
            "decide_entrant": #"""
                -- Says what an entrant has reached and gets.
                -- in:  :competition, :account, :place INTEGER or NULL, :return_percent TEXT or NULL, :payout TEXT or NULL
                UPDATE participants SET place = :place, return_percent = :return_percent, payout = :payout
                WHERE competition_id = :competition AND account_id = :account AND settled_ms IS NULL
                """#,
            "due_contests": #"""
                -- Contests that are over, or were cancelled, and are not settled; the oldest first.
                -- in:  :kind TEXT (competition, challenge), :due INTEGER
                -- out: id
                SELECT id FROM competitions
                WHERE kind = :kind AND status NOT IN ('ended', 'refunded') AND (ends_ms <= :due OR status = 'refunding')
                ORDER BY ends_ms, id
                """#,
            "entrant_counts": #"""
                -- How far a contest's entrants are.
                -- in:  :competition
                -- out: entrants INTEGER, without final equity INTEGER, with a payout that was not paid INTEGER
                SELECT count(*), count(*) - count(final_equity), count(payout) - count(settled_ms)
                FROM participants WHERE competition_id = :competition
                """#,
            "entrants": #"""
                -- A contest's entrants.
                -- in:  :competition
                -- out: account_id, name TEXT, paid TEXT, start_equity TEXT, final_equity TEXT or NULL, transferred TEXT or NULL
                SELECT p.account_id, a.name, p.paid, p.start_equity, p.final_equity, p.transferred
                FROM participants p JOIN accounts a ON a.id = p.account_id
                WHERE p.competition_id = :competition ORDER BY p.account_id
                """#,
            "freeze_entrant": #"""
                -- Records an entrant's equity at the end, once.
                -- in:  :competition, :account, :equity TEXT, :transferred TEXT
                -- 1: done, 0: somebody was faster
                UPDATE participants SET final_equity = :equity, transferred = :transferred
                WHERE competition_id = :competition AND account_id = :account AND final_equity IS NULL
                """#,
            "move_contest": #"""
                -- Moves a contest on, if it is still what was read.
                -- in:  :competition, :version INTEGER, :status TEXT, :pot TEXT or NULL
                -- 1: done, 0: somebody was faster
                UPDATE competitions SET status = :status, pot = :pot, version = version + 1
                WHERE id = :competition AND version = :version
                """#,
            "moved_after": #"""
                -- What moved in the accounts' wallets after an instant. (Opening entries move nothing: the wallet
                -- was there before the ledger.)
                -- in:  :competition, :at INTEGER
                -- out: account_id, amount TEXT
                SELECT a.id, e.amount
                FROM ledger_causes c JOIN ledger_entries e ON e.cause = c.cause
                JOIN accounts a ON a.wallet_id = e.wallet_id
                JOIN participants p ON p.account_id = a.id AND p.competition_id = :competition
                WHERE c.created_ms > :at AND c.kind <> 'opening'
                """#,
            "next_end": #"""
                -- When the next contest is over.
                -- in:  :kind TEXT
                -- out: ends_ms INTEGER or NULL
                SELECT min(ends_ms) FROM competitions WHERE kind = :kind AND status NOT IN ('ended', 'refunded')
                """#,
            "payouts": #"""
                -- Everything a contest has paid or will pay to its entrants.
                -- in:  :competition
                -- out: payout TEXT
                SELECT payout FROM participants WHERE competition_id = :competition AND payout IS NOT NULL
                """#,
            "positions_at": #"""
                -- The positions that were open at an instant, as they were then.
                -- in:  :competition, :at INTEGER
                -- out: account_id, position id, pair_id INTEGER, quote TEXT, contract_size TEXT, side TEXT (long, short),
                --      size TEXT, open_price TEXT
                SELECT x.account_id, p.id, p.pair_id, m.quote, m.contract_size, p.side,
                       coalesce(h.size, p.size), coalesce(h.open_price, p.open_price)
                FROM participants x JOIN positions p ON p.account_id = x.account_id
                JOIN pairs m ON m.id = p.pair_id
                LEFT JOIN position_history h ON h.position_id = p.id AND h.version =
                    (SELECT min(version) FROM position_history WHERE position_id = p.id AND until_ms > :at)
                WHERE x.competition_id = :competition AND p.opened_ms <= :at
                  AND (p.status = 'open' OR p.closed_ms > :at OR h.version IS NOT NULL)
                """#,
            "prices_at": #"""
                -- The last price of every pair at or before an instant.
                -- in:  :at INTEGER
                -- out: pair_id INTEGER, symbol TEXT, base TEXT, quote TEXT, ts_ms INTEGER, bid TEXT, ask TEXT
                SELECT m.id, m.symbol, m.base, m.quote, q.ts_ms, q.bid, q.ask
                FROM pairs m JOIN quotes q ON q.seq =
                    (SELECT seq FROM quotes WHERE pair_id = m.id AND ts_ms <= :at ORDER BY ts_ms DESC, seq DESC LIMIT 1)
                ORDER BY m.id
                """#,
            "settle_entrant": #"""
                -- Records that an entrant was paid, once.
                -- in:  :competition, :account, :payout TEXT (as it was read), :now INTEGER
                -- 1: done, 0: somebody was faster
                UPDATE participants SET settled_ms = :now
                WHERE competition_id = :competition AND account_id = :account AND settled_ms IS NULL AND payout = :payout
                """#,
            "settled_since": #"""
                -- How many entrants were paid since an instant.
                -- in:  :since INTEGER
                -- out: INTEGER
                SELECT count(*) FROM participants WHERE settled_ms >= :since
                """#,
            "transferred": #"""
                -- What was paid into (or, negative, out of) the accounts during a contest: no result of trading.
                -- in:  :competition, :at INTEGER (the end, inclusive)
                -- out: account_id, amount TEXT
                SELECT a.id, e.amount
                FROM participants p JOIN accounts a ON a.id = p.account_id
                JOIN ledger_entries e ON e.wallet_id = a.wallet_id JOIN ledger_causes c ON c.cause = e.cause
                WHERE p.competition_id = :competition AND c.created_ms > p.start_ms AND c.created_ms <= :at
                  AND c.kind IN ('deposit', 'withdrawal', 'transfer', 'entry', 'prize', 'refund')
                """#,
            "unsettled": #"""
                -- Whom a contest still has to pay.
                -- in:  :competition
                -- out: account_id, name TEXT, wallet_id INTEGER, payout TEXT
                SELECT p.account_id, a.name, p.wallet_id, p.payout
                FROM participants p JOIN accounts a ON a.id = p.account_id
                WHERE p.competition_id = :competition AND p.payout IS NOT NULL AND p.settled_ms IS NULL
                ORDER BY p.place, p.account_id
                """#,
        ],
        postgresql: [
            "prices_at": #"""
                -- The last price of every pair at or before an instant.
                -- in:  :at bigint
                -- out: pair_id bigint, symbol text, base text, quote text, ts_ms bigint, bid numeric, ask numeric
                SELECT m.id, m.symbol, m.base, m.quote, q.ts_ms, q.bid, q.ask
                FROM pairs m
                CROSS JOIN LATERAL (SELECT ts_ms, bid, ask FROM quotes WHERE pair_id = m.id AND ts_ms <= :at ORDER BY ts_ms DESC, seq DESC LIMIT 1) q
                ORDER BY m.id
                """#,
        ])
}
