-- Moves the transactions of a block into another one, as a reorganisation does.
-- in:  :chain TEXT, :from INTEGER, :to INTEGER
UPDATE paper_transactions SET block = :to WHERE chain = :chain AND block = :from
