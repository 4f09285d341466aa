-- What earlier closings of a part of a position have realised.
-- in:  :position INTEGER
-- out: realised TEXT or NULL
SELECT realised FROM positions WHERE id = :position
