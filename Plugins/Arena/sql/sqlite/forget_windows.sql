-- Trade windows before an instant of the market.
-- in:  :simulation TEXT, :before INTEGER
DELETE FROM simulation_windows WHERE simulation = :simulation AND opens_ms < :before
