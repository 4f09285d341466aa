-- One contest.
-- in:  :competition
-- out: id, kind TEXT, name TEXT, currency TEXT, prize_pool TEXT, prizes TEXT (JSON), prize_step TEXT,
--      platform_fee TEXT, min_entrants INTEGER, status TEXT, version INTEGER, pot TEXT or NULL, ends_ms INTEGER
SELECT id, kind, name, currency, prize_pool, prizes, prize_step, platform_fee, min_entrants, status, version, pot, ends_ms
FROM competitions WHERE id = :competition
