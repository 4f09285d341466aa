-- Puts all waiting transactions but one into a block.
-- in:  :chain TEXT, :height INTEGER, :except TEXT (the hash of one that pays too little)
UPDATE paper_transactions SET block = :height WHERE chain = :chain AND block IS NULL AND hash <> :except
