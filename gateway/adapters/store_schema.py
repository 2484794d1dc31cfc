"""The tables of the store, for SQLite. One file, so that one transaction can change them together."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x57494247  # "WIBG" in SQLite's header
VERSION: Final = 6

_LOG: Final = """
CREATE TABLE head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  size INTEGER NOT NULL, root BLOB NOT NULL,
  note BLOB NOT NULL                      -- the signed checkpoint, verbatim
) STRICT;
CREATE TABLE cosigned (                   -- the newest checkpoint with enough cosignatures
  id INTEGER PRIMARY KEY CHECK (id = 1),
  size INTEGER NOT NULL, note BLOB NOT NULL, time INTEGER NOT NULL
) STRICT;
CREATE TABLE frozen (                     -- a row: nothing is appended any more
  id INTEGER PRIMARY KEY CHECK (id = 1),
  time INTEGER NOT NULL, mine BLOB NOT NULL,
  theirs BLOB NOT NULL                    -- what contradicts it; empty: the log has ended in order
) STRICT;
CREATE TABLE views (                      -- vector of released and withheld, once per view
  hash BLOB PRIMARY KEY, vector BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE entries (
  idx INTEGER PRIMARY KEY,
  exchange TEXT NOT NULL, kind TEXT NOT NULL,   -- copies from the leaf, for look-ups
  leaf BLOB NOT NULL,
  authority TEXT, ticket BLOB,            -- replay claim: the ticket digested under the key of claims
  view BLOB REFERENCES views (hash), digests BLOB
) STRICT;
CREATE TABLE claim_key (                  -- random, made with the store
  id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX exchanges ON entries (exchange, kind);
CREATE UNIQUE INDEX claims ON entries (authority, ticket) WHERE ticket IS NOT NULL;
CREATE TABLE buckets (                    -- retention class and month; their keys are not in this file
  name TEXT PRIMARY KEY,
  erased INTEGER                          -- index of the entry that says so
) STRICT, WITHOUT ROWID;
CREATE TABLE seeds (                      -- apart from the entries: erasing a row leaves the tree as it is
  idx INTEGER PRIMARY KEY REFERENCES entries (idx),
  bucket TEXT NOT NULL REFERENCES buckets (name),
  subject BLOB NOT NULL, fields BLOB,     -- wrapped under the key of the bucket
  dossier BLOB,                           -- its number digested under the same; NULL: about none
  person BLOB                             -- of a refusal or access: whom its INSZ named, digested under the same
) STRICT;
CREATE INDEX by_bucket ON seeds (bucket);
CREATE INDEX about ON seeds (dossier) WHERE dossier IS NOT NULL;
CREATE TABLE contents (                   -- of notifications: what was told, digested under the key of the bucket
  idx INTEGER PRIMARY KEY REFERENCES entries (idx),
  bucket TEXT NOT NULL REFERENCES buckets (name),
  digest BLOB NOT NULL
) STRICT;
CREATE INDEX contents_by_bucket ON contents (bucket);
CREATE INDEX named ON seeds (person) WHERE person IS NOT NULL;
CREATE TABLE messages (                   -- kept; they go with the seed
  idx INTEGER NOT NULL REFERENCES entries (idx),
  bucket TEXT NOT NULL REFERENCES buckets (name),
  n INTEGER NOT NULL,                     -- 0: the payload that `body` commits to; from 1 on signed messages
  sealed BLOB NOT NULL,                   -- compressed, then sealed under a key that is made of the seed
  PRIMARY KEY (idx, n)
) STRICT;
CREATE INDEX kept_by_bucket ON messages (bucket);
CREATE TABLE tiles (
  level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL,
  PRIMARY KEY (level, n)
) STRICT;
CREATE TABLE erased (                     -- entries erased one by one, all in one list
  id INTEGER PRIMARY KEY CHECK (id = 1),
  indices TEXT NOT NULL,
  salt BLOB NOT NULL                      -- of the commitment to the list in the newest such erasure
) STRICT;
CREATE TABLE minimum (                    -- entries below this index are no longer kept; tiles stay
  id INTEGER PRIMARY KEY CHECK (id = 1), idx INTEGER NOT NULL
) STRICT;
CREATE TABLE spent (                      -- replay claims of entries that were pruned, and of former logs
  authority TEXT NOT NULL, ticket BLOB NOT NULL, PRIMARY KEY (authority, ticket)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER tickets_stay_spent BEFORE INSERT ON entries
WHEN NEW.ticket IS NOT NULL AND EXISTS (SELECT 1 FROM spent WHERE authority = NEW.authority AND ticket = NEW.ticket)
BEGIN SELECT raise(IGNORE); END;
-- Against mistakes, not against an adversary.
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT raise(ABORT, 'entries are immutable'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries WHEN OLD.idx >= coalesce((SELECT idx FROM minimum), 0)
BEGIN SELECT raise(ABORT, 'entries are immutable'); END;
"""

# What is erased of a log after it ended is said by one that succeeds it.
_SUCCESSION: Final = """
CREATE TABLE former_erased (               -- of logs that this one succeeds: entries erased one by one, as this one says
  origin TEXT PRIMARY KEY,
  indices TEXT NOT NULL, salt BLOB NOT NULL,
  entry INTEGER NOT NULL                   -- index of the newest entry that says so
) STRICT, WITHOUT ROWID;
CREATE TABLE accounts (                    -- what a log that succeeds this one says was erased of it, with its proof
  bucket TEXT PRIMARY KEY,                 -- its name; '' of entries erased one by one
  account BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""

_DIRECTORY: Final = """
CREATE TABLE dossiers (
  number TEXT PRIMARY KEY, permit_type TEXT NOT NULL, procedure TEXT NOT NULL,
  status TEXT NOT NULL, status_since TEXT NOT NULL,
  person BLOB CHECK (length(person) = 32), -- keyed digest of the worker's INSZ; the key is not in this file
  resumes TEXT,                            -- the status that was interrupted
  version INTEGER NOT NULL CHECK (version > 0)  -- counts changes, so that none is made on old knowledge
) STRICT, WITHOUT ROWID;
CREATE INDEX bound ON dossiers (person) WHERE person IS NOT NULL;
CREATE TABLE inscriptions (                -- ended ones stay
  dossier TEXT NOT NULL REFERENCES dossiers (number) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  authority TEXT NOT NULL, role TEXT NOT NULL, since TEXT NOT NULL, until TEXT,
  PRIMARY KEY (dossier, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX inscribed ON inscriptions (authority, dossier);
CREATE TABLE passages (                    -- the statuses that a dossier went through, in order
  dossier TEXT NOT NULL REFERENCES dossiers (number) ON DELETE CASCADE,
  n INTEGER NOT NULL,
  status TEXT NOT NULL, since TEXT NOT NULL,
  operation TEXT,                          -- that led to it; NULL: by hand
  PRIMARY KEY (dossier, n)
) STRICT, WITHOUT ROWID;
"""

# Times here are microseconds since 1970, UTC: they are compared.
_QUEUE: Final = """
CREATE TABLE agreements (                  -- every revision under which the hub has served
  revision TEXT PRIMARY KEY,
  files BLOB NOT NULL,                     -- compressed
  remembered INTEGER NOT NULL              -- when it was last put in force; the later the greater
) STRICT;
CREATE TABLE payload_key (                 -- a known text sealed under the key, which is not in this file
  id INTEGER PRIMARY KEY CHECK (id = 1), known BLOB NOT NULL
) STRICT;
CREATE TABLE notifications (               -- beside its entry in the log; ticket and index are there
  exchange TEXT PRIMARY KEY,
  sender TEXT NOT NULL, operation TEXT NOT NULL, context TEXT NOT NULL,
  revision TEXT NOT NULL,                  -- of the agreement, at acceptance
  status TEXT NOT NULL,                    -- of the dossier, after it
  accepted INTEGER NOT NULL,
  sealed BLOB                              -- the payload, encrypted; NULL when every delivery is settled
) STRICT;
CREATE TABLE deliveries (
  position INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of acceptance
  id TEXT NOT NULL UNIQUE,
  notification TEXT NOT NULL REFERENCES notifications (exchange),
  recipient TEXT NOT NULL, context TEXT NOT NULL,
  dossier TEXT,                            -- NULL when it is settled
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'dead', 'settled')),
  attempts INTEGER NOT NULL DEFAULT 0,     -- that failed; in a mailbox: fetches
  due INTEGER NOT NULL,                    -- not before; a lease puts it off to its end
  lease_until INTEGER NOT NULL DEFAULT 0,  -- until then it is somebody's
  recorded INTEGER NOT NULL DEFAULT 0,     -- a release stands in the log: 1 to an endpoint, 2 to a fetch
  last_code TEXT                           -- why the last attempt failed
) STRICT;
CREATE INDEX unsettled ON deliveries (recipient, dossier, position, state) WHERE state <> 'settled';
CREATE INDEX in_order ON deliveries (position) WHERE state <> 'settled';
CREATE INDEX next ON deliveries (recipient, due, position) WHERE state = 'waiting';
CREATE INDEX in_mailbox ON deliveries (recipient, position) WHERE state = 'waiting';
CREATE INDEX told ON deliveries (notification);
CREATE VIEW outstanding AS                 -- deliveries that are not settled, with what they deliver
SELECT d.position, d.id, d.recipient, d.context, d.attempts, d.recorded, d.dossier,
       n.exchange, n.sender, n.operation, n.revision, n.status, n.accepted, n.sealed,
       d.state, d.due, d.lease_until, d.last_code
FROM deliveries AS d JOIN notifications AS n ON n.exchange = d.notification
WHERE d.state <> 'settled';
-- Of each dossier and recipient the earliest: one that is dead, too, so that it holds back those after it.
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
CREATE TABLE documents (                   -- uploaded by their providers; each in a file of its own
  dossier BLOB NOT NULL,                   -- its number digested under the key of claims
  provider TEXT NOT NULL, reference TEXT NOT NULL,
  type TEXT NOT NULL, media_type TEXT NOT NULL, sha256 TEXT NOT NULL,
  size INTEGER NOT NULL,                   -- bytes of the document
  signature BLOB NOT NULL,                 -- of the upload
  stored INTEGER NOT NULL,
  file TEXT NOT NULL UNIQUE,               -- its random name
  key BLOB NOT NULL,                       -- of the file, sealed under the payload key
  PRIMARY KEY (dossier, provider, reference)
) STRICT, WITHOUT ROWID;
CREATE INDEX by_age ON documents (stored);
"""

_TRUST: Final = """
CREATE TABLE trusted (                     -- what the hub believed, each file once
  hash BLOB PRIMARY KEY,                   -- SHA-256
  kind TEXT NOT NULL CHECK (kind IN ('anchors', 'intermediates', 'crls', 'answers')),
  der BLOB NOT NULL
) STRICT;
CREATE TABLE trusted_since (               -- what was in force from then on, but for answers
  since INTEGER PRIMARY KEY, hashes BLOB NOT NULL
) STRICT;
CREATE TABLE answers (                     -- of OCSP responders
  certificate BLOB NOT NULL,               -- SHA-256
  since INTEGER NOT NULL, until INTEGER NOT NULL, revoked INTEGER NOT NULL,
  hash BLOB NOT NULL REFERENCES trusted (hash),
  PRIMARY KEY (certificate, since)
) STRICT, WITHOUT ROWID;
"""

SCHEMA: Final = _LOG + _SUCCESSION + _DIRECTORY + _QUEUE + _DOCUMENTS + _TRUST
# An earlier version → what makes of it the present one.
UPGRADES: Final = {5: _SUCCESSION}
