"""The first version: what `store_schema` has in SQLite, in the same order of columns.

Texts are compared byte by byte (COLLATE "C"), whatever the language of the database. What stands beside an entry has
no foreign key to it: each would lock the entry's row once more, and `gateway log verify` compares them anyhow.
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0001"
down_revision = None

_LOG: Final = """
CREATE DOMAIN word AS text COLLATE "C";
CREATE TABLE head (
  id int PRIMARY KEY CHECK (id = 1),
  size bigint NOT NULL, root bytea NOT NULL,
  note bytea NOT NULL
);
CREATE TABLE cosigned (
  id int PRIMARY KEY CHECK (id = 1),
  size bigint NOT NULL, note bytea NOT NULL, time bigint NOT NULL
);
CREATE TABLE frozen (
  id int PRIMARY KEY CHECK (id = 1),
  time bigint NOT NULL, mine bytea NOT NULL,
  theirs bytea NOT NULL
);
CREATE TABLE views (
  hash bytea PRIMARY KEY, vector bytea NOT NULL
);
CREATE TABLE entries (
  idx bigint PRIMARY KEY,
  exchange word NOT NULL, kind word NOT NULL,
  leaf bytea NOT NULL,
  authority word, ticket bytea,
  view bytea, digests bytea
);
CREATE TABLE claim_key (
  id int PRIMARY KEY CHECK (id = 1), key bytea NOT NULL
);
CREATE UNIQUE INDEX exchanges ON entries (exchange, kind);
CREATE UNIQUE INDEX claims ON entries (authority, ticket) WHERE ticket IS NOT NULL;
CREATE TABLE buckets (
  name word PRIMARY KEY,
  erased bigint
);
CREATE TABLE seeds (
  idx bigint PRIMARY KEY,
  bucket word NOT NULL,
  subject bytea NOT NULL, fields bytea,
  dossier bytea,
  person bytea
);
CREATE INDEX by_bucket ON seeds (bucket);
CREATE INDEX about ON seeds (dossier) WHERE dossier IS NOT NULL;
CREATE TABLE contents (
  idx bigint PRIMARY KEY,
  bucket word NOT NULL,
  digest bytea NOT NULL
);
CREATE INDEX contents_by_bucket ON contents (bucket);
CREATE INDEX named ON seeds (person) WHERE person IS NOT NULL;
CREATE TABLE messages (
  idx bigint NOT NULL,
  bucket word NOT NULL,
  n int NOT NULL,
  sealed bytea NOT NULL,
  PRIMARY KEY (idx, n)
);
ALTER TABLE messages ALTER COLUMN sealed SET STORAGE EXTERNAL; -- it is sealed: it shrinks no further
CREATE INDEX kept_by_bucket ON messages (bucket);
CREATE TABLE tiles (
  level int NOT NULL, n bigint NOT NULL, hashes bytea NOT NULL,
  PRIMARY KEY (level, n)
);
ALTER TABLE tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
CREATE TABLE erased (
  id int PRIMARY KEY CHECK (id = 1),
  indices text NOT NULL,
  salt bytea NOT NULL
);
CREATE TABLE minimum (
  id int PRIMARY KEY CHECK (id = 1), idx bigint NOT NULL
);
CREATE TABLE spent (
  authority word NOT NULL, ticket bytea NOT NULL, PRIMARY KEY (authority, ticket)
);

CREATE FUNCTION tickets_stay_spent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM spent WHERE authority = NEW.authority AND ticket = NEW.ticket) THEN
    RETURN NULL;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER tickets_stay_spent BEFORE INSERT ON entries FOR EACH ROW WHEN (NEW.ticket IS NOT NULL)
EXECUTE FUNCTION tickets_stay_spent();

CREATE FUNCTION entries_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'entries are immutable' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER entries_stay BEFORE UPDATE OR TRUNCATE ON entries EXECUTE FUNCTION entries_stay();
CREATE FUNCTION entries_remain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.idx < (SELECT coalesce(max(idx), 0) FROM minimum) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'entries are immutable' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries FOR EACH ROW EXECUTE FUNCTION entries_remain();

-- An entry as its fields; NULL where it was altered and has not their form.
CREATE FUNCTION leaf_fields(leaf bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  fields jsonb := convert_from(leaf, 'UTF8')::jsonb;
BEGIN
  IF jsonb_typeof(fields -> 'to') <> 'array' THEN
    RETURN NULL;
  END IF;
  RETURN fields;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END $$;
"""

_DIRECTORY: Final = """
CREATE TABLE dossiers (
  number word PRIMARY KEY, permit_type text NOT NULL, procedure text NOT NULL,
  status text NOT NULL, status_since text NOT NULL,
  person bytea CHECK (length(person) = 32),
  resumes text,
  version bigint NOT NULL CHECK (version > 0)
);
CREATE INDEX bound ON dossiers (person) WHERE person IS NOT NULL;
CREATE TABLE inscriptions (
  dossier word NOT NULL REFERENCES dossiers (number) ON DELETE CASCADE,
  position int NOT NULL,
  authority word NOT NULL, role text NOT NULL, since text NOT NULL, until text,
  PRIMARY KEY (dossier, position)
);
CREATE INDEX inscribed ON inscriptions (authority, dossier);
CREATE TABLE passages (
  dossier word NOT NULL REFERENCES dossiers (number) ON DELETE CASCADE,
  n int NOT NULL,
  status text NOT NULL, since text NOT NULL,
  operation text,
  PRIMARY KEY (dossier, n)
);
"""

_QUEUE: Final = """
CREATE TABLE agreements (
  revision word PRIMARY KEY,
  files bytea NOT NULL,
  remembered bigint NOT NULL
);
CREATE TABLE payload_key (
  id int PRIMARY KEY CHECK (id = 1), known bytea NOT NULL
);
CREATE TABLE notifications (
  exchange word PRIMARY KEY,
  sender word NOT NULL, operation word NOT NULL, context word NOT NULL,
  revision word NOT NULL,
  status text NOT NULL,
  accepted bigint NOT NULL,
  sealed bytea
);
ALTER TABLE notifications ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE TABLE deliveries (
  position bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  id word NOT NULL UNIQUE,
  notification word NOT NULL REFERENCES notifications (exchange),
  recipient word NOT NULL, context word NOT NULL,
  dossier word,
  state word NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'dead', 'settled')),
  attempts int NOT NULL DEFAULT 0,
  due bigint NOT NULL,
  lease_until bigint NOT NULL DEFAULT 0,
  recorded int NOT NULL DEFAULT 0,
  last_code text
);
CREATE INDEX unsettled ON deliveries (recipient, dossier, position, state) WHERE state <> 'settled';
CREATE INDEX in_order ON deliveries (position) WHERE state <> 'settled';
CREATE INDEX next ON deliveries (recipient, due, position) WHERE state = 'waiting';
CREATE INDEX in_mailbox ON deliveries (recipient, position) WHERE state = 'waiting';
CREATE INDEX told ON deliveries (notification);
CREATE VIEW outstanding AS
SELECT d.position, d.id, d.recipient, d.context, d.attempts, d.recorded, d.dossier,
       n.exchange, n.sender, n.operation, n.revision, n.status, n.accepted, n.sealed,
       d.state, d.due, d.lease_until, d.last_code
FROM deliveries AS d JOIN notifications AS n ON n.exchange = d.notification
WHERE d.state <> 'settled';
CREATE VIEW foremost AS
SELECT d.position, d.id, d.notification, d.recipient, d.context, d.state, d.due, d.lease_until
FROM deliveries AS d
WHERE d.state <> 'settled' AND NOT EXISTS (
  SELECT 1 FROM deliveries AS earlier
  WHERE earlier.state <> 'settled' AND earlier.recipient = d.recipient AND earlier.dossier = d.dossier
    AND earlier.position < d.position
);
"""

_DOCUMENTS: Final = """
CREATE TABLE documents (
  dossier bytea NOT NULL,
  provider word NOT NULL, reference word NOT NULL,
  type text NOT NULL, media_type text NOT NULL, sha256 text NOT NULL,
  size bigint NOT NULL,
  signature bytea NOT NULL,
  stored bigint NOT NULL,
  file word NOT NULL UNIQUE,
  key bytea NOT NULL,
  PRIMARY KEY (dossier, provider, reference)
);
CREATE INDEX by_age ON documents (stored);
"""

_TRUST: Final = """
CREATE TABLE trusted (
  hash bytea PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('anchors', 'intermediates', 'crls', 'answers')),
  der bytea NOT NULL
);
CREATE TABLE trusted_since (
  since bigint PRIMARY KEY, hashes bytea NOT NULL
);
CREATE TABLE answers (
  certificate bytea NOT NULL,
  since bigint NOT NULL, until bigint NOT NULL, revoked int NOT NULL,
  hash bytea NOT NULL REFERENCES trusted (hash),
  PRIMARY KEY (certificate, since)
);
"""


def upgrade() -> None:
    """From an empty database."""
    for script in (_LOG, _DIRECTORY, _QUEUE, _DOCUMENTS, _TRUST):
        op.get_bind().exec_driver_sql(script)
