-- All open positions.
-- out: id INTEGER, account_id INTEGER, pair_id INTEGER, symbol TEXT, quote TEXT, contract_size TEXT,
--      size_step TEXT, side TEXT (long, short), size TEXT, open_price TEXT, leverage TEXT, version INTEGER
SELECT p.id, p.account_id, p.pair_id, m.symbol, m.quote, m.contract_size, m.size_step,
       p.side, p.size, p.open_price, p.leverage, p.version
FROM positions p JOIN pairs m ON m.id = p.pair_id
WHERE p.status = 'open' ORDER BY p.account_id, p.id
