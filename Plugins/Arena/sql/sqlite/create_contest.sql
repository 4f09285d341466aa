-- A new contest.
-- in:  :name TEXT, :kind TEXT (competition, challenge), :currency TEXT, :prizes TEXT (JSON), :fee TEXT (percent),
--      :minimum INTEGER, :now INTEGER, :ends INTEGER
INSERT INTO competitions (kind, name, currency, prizes, platform_fee, min_entrants, status, starts_ms, ends_ms)
VALUES (:kind, :name, :currency, :prizes, :fee, :minimum, 'running', :now, :ends)
