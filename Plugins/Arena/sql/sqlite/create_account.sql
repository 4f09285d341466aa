-- A new account.
-- in:  :name TEXT, :currency TEXT, :wallet INTEGER
INSERT INTO accounts (name, currency, wallet_id) VALUES (:name, :currency, :wallet)
