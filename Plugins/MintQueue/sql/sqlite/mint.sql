-- A mint by its cause.
-- in:  :cause TEXT
-- out: asset_id TEXT, size TEXT, status TEXT (requested, sent, minted, failed, unknown), attempts INTEGER,
--      reference TEXT or NULL, reason TEXT, version INTEGER, sent_ms INTEGER or NULL
SELECT asset_id, size, status, attempts, reference, reason, version, sent_ms FROM mint_requests WHERE cause = :cause
