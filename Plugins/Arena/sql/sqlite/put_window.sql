-- A trade window.
-- in:  :simulation TEXT, :opens_ms INTEGER, :clock_ms INTEGER, :state TEXT (open, traded), :missed INTEGER, :trades INTEGER,
--      :now INTEGER
INSERT INTO simulation_windows (simulation, opens_ms, clock_ms, state, missed, trades, changed_ms)
VALUES (:simulation, :opens_ms, :clock_ms, :state, :missed, :trades, :now)
