-- Times from here on are nanoseconds since 1970, 0 for none; durations are nanoseconds. Texts are in the order of their
-- bytes, whatever the database's locale.
ALTER TABLE tokens
	ADD COLUMN account TEXT NOT NULL DEFAULT '',
	ADD COLUMN seq BIGINT GENERATED ALWAYS AS IDENTITY; -- tells keys made in one second apart

CREATE TABLE namespaces (
	name   TEXT COLLATE "C" PRIMARY KEY,
	labels TEXT NOT NULL -- JSON object
);

CREATE TABLE accounts (
	namespace       TEXT COLLATE "C" NOT NULL,
	name            TEXT COLLATE "C" NOT NULL,
	uid             TEXT   NOT NULL,
	owner           TEXT   NOT NULL,
	labels          TEXT   NOT NULL, -- JSON object
	created         BIGINT NOT NULL,
	last_human_mint BIGINT NOT NULL,
	PRIMARY KEY (namespace, name)
);

CREATE TABLE denials (
	subject TEXT COLLATE "C" PRIMARY KEY,
	until   BIGINT NOT NULL
);

CREATE TABLE counters (
	digest BYTEA  PRIMARY KEY, -- SHA-256 of the key, which may be longer than an index takes
	key    BYTEA  NOT NULL,    -- any bytes
	used   BIGINT NOT NULL,
	opened BIGINT NOT NULL,
	span   BIGINT NOT NULL,
	ends   BIGINT NOT NULL -- opened + span
);

-- Not partitioned: an id is unique whenever it arrives, which only one table can promise. "at" grows with the rows, so
-- the oldest are beside each other and Forget reads few pages.
CREATE TABLE ledger (
	seq          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id           TEXT COLLATE "C" NOT NULL UNIQUE,
	at           BIGINT NOT NULL,
	username     TEXT COLLATE "C" NOT NULL,
	tier         TEXT COLLATE "C" NOT NULL,
	gateway      TEXT COLLATE "C" NOT NULL,
	route        TEXT COLLATE "C" NOT NULL,
	backend      TEXT COLLATE "C" NOT NULL,
	model_asked  TEXT COLLATE "C" NOT NULL,
	model_served TEXT COLLATE "C" NOT NULL,
	dialect      TEXT COLLATE "C" NOT NULL,
	verdict      TEXT COLLATE "C" NOT NULL,
	status       BIGINT  NOT NULL,
	input        BIGINT  NOT NULL,
	output       BIGINT  NOT NULL,
	cached       BIGINT  NOT NULL,
	cache_write  BIGINT  NOT NULL,
	reasoning    BIGINT  NOT NULL,
	total        BIGINT  NOT NULL,
	exact        BOOLEAN NOT NULL,
	stream       BOOLEAN NOT NULL,
	duration     BIGINT  NOT NULL,
	first_token  BIGINT  NOT NULL
);
CREATE INDEX ledger_at ON ledger (at, seq);
CREATE INDEX ledger_username ON ledger (username, at, seq);

-- Without these PostgreSQL takes every entry for a day of its own and sorts a million of them to add up thirty.
DO $$
BEGIN
	IF current_setting('server_version_num')::int >= 140000 THEN
		EXECUTE 'CREATE STATISTICS ledger_day ON (at / 86400000000000) FROM ledger';
		EXECUTE 'CREATE STATISTICS ledger_hour ON (at / 3600000000000) FROM ledger';
	END IF;
END $$;
