-- Notes what a job did to whom.
-- in:  :actor TEXT, :action TEXT, :subject TEXT, :detail TEXT (JSON), :now INTEGER
INSERT INTO activity_log (actor, action, subject, detail, created_ms)
VALUES (:actor, :action, :subject, :detail, :now)
