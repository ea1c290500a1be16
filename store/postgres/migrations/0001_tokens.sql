-- API keys, as maas-api keeps them. "if not exists": a database of that program is taken over as it is.
CREATE TABLE IF NOT EXISTS tokens (
	id              TEXT PRIMARY KEY, -- jti
	username        TEXT NOT NULL,
	name            TEXT NOT NULL,
	description     TEXT,
	creation_date   TEXT NOT NULL, -- RFC 3339, UTC, whole seconds: compared as text
	expiration_date TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_tokens_username ON tokens (username);
