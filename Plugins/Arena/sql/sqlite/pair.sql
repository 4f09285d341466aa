-- A pair by its symbol.
-- in:  :symbol TEXT
-- out: id INTEGER, simulation TEXT or NULL
SELECT id, simulation FROM pairs WHERE symbol = :symbol
