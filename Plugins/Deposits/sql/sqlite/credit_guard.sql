-- What stands between a confirmed deposit and the wallet: put your own rules here (sanctions, limits, reviews).
-- in:  :id TEXT
-- out: decision TEXT (allow, hold, reject), reason TEXT
SELECT 'allow', '' FROM deposits WHERE id = :id
