-- The open positions of one account, as positions; they stand still until the transaction ends.
-- in:  :account bigint
SELECT p.id, p.account_id, p.pair_id, m.symbol, m.quote, m.contract_size, m.size_step,
       p.side, p.size, p.open_price, p.leverage, p.version
FROM positions p JOIN pairs m ON m.id = p.pair_id
WHERE p.status = 'open' AND p.account_id = :account ORDER BY p.id
FOR UPDATE OF p
