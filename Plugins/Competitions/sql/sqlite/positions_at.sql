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
