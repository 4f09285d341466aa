-- A pair's own time; NULL: real time.
-- in:  :pair INTEGER, :clock_ms INTEGER or NULL
UPDATE pairs SET clock_ms = :clock_ms WHERE id = :pair
