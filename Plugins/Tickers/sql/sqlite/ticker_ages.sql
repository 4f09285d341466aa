-- How long the ticker of each active pair may still be shown.
-- out: symbol TEXT, valid_until_ms INTEGER or NULL (there is none), is_traded INTEGER (0, 1: it has
--      trades)
SELECT p.symbol, t.valid_until_ms, EXISTS (SELECT 1 FROM trades WHERE pair_id = p.id)
FROM pairs p LEFT JOIN tickers t ON t.pair_id = p.id WHERE p.active = 1 ORDER BY p.id
