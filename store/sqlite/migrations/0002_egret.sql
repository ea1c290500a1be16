-- Times from here on are nanoseconds since 1970, 0 for none; durations are nanoseconds.
ALTER TABLE tokens ADD COLUMN account TEXT NOT NULL DEFAULT '';

CREATE TABLE namespaces (
	name   TEXT PRIMARY KEY,
	labels TEXT NOT NULL -- JSON object
) WITHOUT ROWID;

CREATE TABLE accounts (
	namespace       TEXT    NOT NULL,
	name            TEXT    NOT NULL,
	uid             TEXT    NOT NULL,
	owner           TEXT    NOT NULL,
	labels          TEXT    NOT NULL, -- JSON object
	created         INTEGER NOT NULL,
	last_human_mint INTEGER NOT NULL,
	PRIMARY KEY (namespace, name)
) WITHOUT ROWID;

CREATE TABLE denials (
	subject TEXT PRIMARY KEY,
	until   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE counters (
	key    TEXT PRIMARY KEY,
	used   INTEGER NOT NULL,
	opened INTEGER NOT NULL,
	span   INTEGER NOT NULL,
	ends   INTEGER NOT NULL -- opened + span
) WITHOUT ROWID;

CREATE TABLE ledger (
	seq          INTEGER PRIMARY KEY,
	id           TEXT    NOT NULL UNIQUE,
	at           INTEGER NOT NULL,
	username     TEXT    NOT NULL,
	tier         TEXT    NOT NULL,
	gateway      TEXT    NOT NULL,
	route        TEXT    NOT NULL,
	backend      TEXT    NOT NULL,
	model_asked  TEXT    NOT NULL,
	model_served TEXT    NOT NULL,
	dialect      TEXT    NOT NULL,
	verdict      TEXT    NOT NULL,
	status       INTEGER NOT NULL,
	input        INTEGER NOT NULL,
	output       INTEGER NOT NULL,
	cached       INTEGER NOT NULL,
	cache_write  INTEGER NOT NULL,
	reasoning    INTEGER NOT NULL,
	total        INTEGER NOT NULL,
	exact        INTEGER NOT NULL,
	stream       INTEGER NOT NULL,
	duration     INTEGER NOT NULL,
	first_token  INTEGER NOT NULL
);
CREATE INDEX ledger_at ON ledger (at);
CREATE INDEX ledger_username ON ledger (username, at);
