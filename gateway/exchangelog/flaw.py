"""What can be wrong with evidence: one closed list of codes, one table, one exception.

Refusals (`gateway.refusal`) are answers to a peer; flaws are told to an officer who checks the log. A code
never changes its meaning. Sentences may be reworded; they are courtesy, the code is the contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final


class Level(StrEnum):
    """FAILURE: the evidence does not hold. NOTICE: it holds, and an officer should know."""

    FAILURE = "failure"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class FlawRow:
    """One row of the table of flaws."""

    code: str
    sentence: str
    remedy: str
    level: Level = Level.FAILURE


# fmt: off
_row = FlawRow
_DAMAGED = "Keep the file as it is, compare it with a backup and a pinned checkpoint, and report the incident."
_UNUSED = "Do not use the reply. Keep it as it came, and report the incident."
_AGAIN = "Ask for the file again, by another way; if it stays wrong, do not rely on it."
_ANCHOR = "Check that --anchor names the anchors of this hub's network; if it does, do not rely on it."
_REPORT = "Do not rely on the message before it is known how the hub came to accept it."
_FETCH = "Fetch it again from its source; if it stays wrong, report the incident."


class Flaw(Enum):
    """Every way in which evidence can fail to hold."""

    # Merkle tree (RFC 9162 §2.1).
    HASH_LENGTH = _row("LOG101", "A hash is not 32 bytes long.", _FETCH)
    RANGE = _row("LOG102", "The index or size lies outside the tree.", "Ask for an index below the size of the checkpoint.")
    PROOF_LENGTH = _row("LOG103", "The proof has too few or too many hashes for this index and size.", _FETCH)
    ROOT = _row("LOG104", "The proof does not lead to the root.", _DAMAGED)

    # C2SP texts.
    NOTE_FORM = _row("LOG201", "The signed note is malformed.", _FETCH)
    KEY_FORM = _row("LOG202", "The verification key is malformed.", "Take the key (one line, name+id+key) from the operator by a second channel.")
    SIGNATURE = _row("LOG203", "A signature that names the known key does not verify.", _DAMAGED)
    UNSIGNED = _row("LOG204", "No signature of the known key is present.", "Check that key and checkpoint belong to the same log.")
    CHECKPOINT_FORM = _row("LOG205", "The checkpoint is malformed.", _FETCH)
    ORIGIN = _row("LOG206", "The checkpoint belongs to another log.", "Check that key, origin and checkpoint belong to the same log.")
    PROOF_FORM = _row("LOG207", "The proof file is malformed.", _FETCH)
    TILE_PATH = _row("LOG208", "The path names no resource of a tiled log.", "See PROTOCOL.md §8.5 for the paths.")

    # Entries and field records.
    ENTRY_FORM = _row("LOG301", "The entry does not have the closed form of the exchange log.", _DAMAGED)
    FIELD_FORM = _row("LOG302", "The field records are malformed.", _DAMAGED)
    DISCLOSURE = _row("LOG303", "The disclosure does not belong to the field record.", "Use the salt, path and value exactly as they were handed over.")

    # Findings about a whole log.
    HEAD = _row("LOG401", "The stored head and the signed checkpoint differ.", _DAMAGED)
    MISSING = _row("LOG402", "An entry below the size of the tree is missing.", _DAMAGED)
    SURPLUS = _row("LOG403", "The store holds entries, or tiles, beyond the size of the tree.", _DAMAGED)
    ALTERED = _row("LOG404", "The entry is not the one whose hash is in the tree.", _DAMAGED)
    COLUMN = _row("LOG405", "A lookup column differs from the entry beside it.", _DAMAGED)
    TILE = _row("LOG406", "A tile is missing or differs from the tree.", _DAMAGED)
    TREE = _row("LOG407", "The tiles do not add up to the root of the checkpoint.", _DAMAGED)
    FIELDS = _row("LOG408", "The field records do not add up to the root in the entry.", _DAMAGED)
    CLAIM = _row("LOG409", "A ticket is used twice, is missing, or stands beside an entry that may have none or that another authority made.", _DAMAGED)
    PAIRING = _row("LOG410", "The entries of one exchange do not belong together.", _DAMAGED)
    OUTCOME_UNKNOWN = _row("LOG411", "The request was forwarded and no response is recorded: outcome unknown.", "Ask the provider; the exchange may be running still, or the gateway stopped in the middle.", Level.NOTICE)
    SEED = _row("LOG412", "The seed of an entry is missing although no erasure is recorded.", _DAMAGED)
    ROLLBACK = _row("LOG413", "The log does not extend the pinned checkpoint.", "Do not append. Keep both checkpoints as evidence and report the incident.")
    DELIVERY = _row("LOG414", "The delivery is not of a notification that waits for this recipient.", _DAMAGED)
    SETTLEMENT = _row("LOG415", "The settlement ends no delivery that waits, or one that was acknowledged without having been released.", _DAMAGED)
    UNSETTLED = _row("LOG416", "The notification waits for delivery.", "See what waits, and why: gateway queue list", Level.NOTICE)

    # What a recipient finds about its own exchange.
    RECEIPT_MISSING = _row("LOG621", "The reply does not say where it is recorded, or lacks the proof that was asked for.", _UNUSED)
    RECEIPT_OTHER = _row("LOG622", "The entry is not the one of this exchange.", _UNUSED)
    RECEIPT_OLD = _row("LOG623", "The checkpoint is older than the entry: it does not cover it.", _UNUSED)
    RECEIPT_DIFFERS = _row("LOG624", "Place and proof in the reply name different entries, logs or checkpoints.", _UNUSED)
    VALUE = _row("LOG625", "A value that came is not the one that was recorded.", _UNUSED)
    VALUE_MISSING = _row("LOG626", "A value that was recorded as released did not come.", _UNUSED)
    WITHHELD_CAME = _row("LOG627", "A field came that is recorded as withheld.", _UNUSED)
    UNRECORDED = _row("LOG628", "A field came that has no field record.", _UNUSED)
    REPLY_FORM = _row("LOG629", "This is no reply of a gateway that says where it is recorded.", "Give the reply as it came, without a change: gateway call --save FILE")
    NOT_RELEASED = _row("LOG630", "The entry released nothing at this path.", "Name a path that was released: gateway log verify --reply FILE lists them.")
    DISCLOSED_FORM = _row("LOG631", "The file of a disclosed value is malformed.", _FETCH)

    # The view of an entry, proven from the agreement.
    NO_VIEW = _row("LOG632", "The entry releases nothing, so there is no view to prove.", "Name a response or a delivery: gateway log list --kind response")
    REVISION_ABSENT = _row("LOG633", "The agreement revision that the entry names is not at hand.", "Give the files of that revision: gateway log prove-view --agreement DIRECTORY")
    REVISION = _row("LOG634", "The files of the agreement have another hash than the entry names, or do not compile.", "Take the files of that revision from the parties of the agreement.")
    PARTITION = _row("LOG635", "Released and withheld records do not divide the paths of the contract between them.", _DAMAGED)
    VIEW = _row("LOG636", "The agreement yields another vector of released and withheld than the entry records.", "Keep entry, records and agreement as they are, and report the incident.")
    NOT_GRANTED = _row("LOG637", "The agreement grants this exchange to nobody in these roles.", "Keep entry, records and agreement as they are, and report the incident.")
    ROLE_ASSUMED = _row("LOG638", "The entry names its parties, not their roles: what is proven holds for the roles told.", "Compare them with the register of the day of the exchange.", Level.NOTICE)
    NARROWED = _row("LOG639", "A rectification also withholds what its recipient never received: that part of the vector is not proven here.", "Compare it with the earlier releases to this recipient.", Level.NOTICE)

    # The store.
    UNREADABLE = _row("LOG501", "The store cannot be opened or read.", "Check permissions, and that it is a store of this gateway. If it is one, keep the file as it is and report the incident.")
    LIBRARY = _row("LOG502", "The SQLite library is older than 3.51.3, which may corrupt a log in WAL mode.", "Install the locked dependencies; apsw brings a current SQLite.")
    ABSENT = _row("LOG503", "There is no such entry.", "List the entries with: gateway log list")
    KEY_MISSING = _row("LOG504", "No verification key was given.", "Give the log's key with --config, --vkey or --vkey-file.")
    PLACE_MISSING = _row("LOG505", "No log was named.", "Name it with --store FILE or --config FILE.")
    NO_STORE = _row("LOG506", "There is no store at this path, or no log in this database.", "Correct the path (log.store in the settings); only for a new log: gateway log init --config FILE")
    STORE_EXISTS = _row("LOG507", "There is a file at the path of the new store, or a log in the database.", "A log is started once. Use the one that is there, or name another path and another origin in the settings.")
    CORRUPT = _row("LOG508", "The store is damaged: its database cannot read all of it.", _DAMAGED)
    FILE = _row("LOG509", "A file that the command line or the settings name cannot be read or written.", "Correct the path or its permissions, or make room on its disk.")
    UNKNOWN_VALUE = _row("LOG510", "An option has a value that nothing in the log can have.", "Give one of the values named.")
    SEALED = _row("LOG511", "A payload that waits cannot be opened: it was sealed under another key, or altered.", "Give the key under which it was sealed (keys.payload_key in the settings). If that is the key, have the sender tell it again and drop it: gateway queue drop")
    DATABASE = _row("LOG512", "The PostgreSQL server cannot be reached, or takes no statement.", "See whether it runs, and whether log.store of the settings, the password file and the rights of the role are right.")
    SERVER_VERSION = _row("LOG513", "The PostgreSQL server is older than version 15.", "Upgrade it.")
    SERVER_DURABILITY = _row("LOG514", "The PostgreSQL server may lose what it has committed.", "Set fsync and full_page_writes to on, and synchronous_commit to on or remote_apply.")
    SERVER_STANDBY = _row("LOG515", "The PostgreSQL server is a standby: nothing can be appended there.", "Name every server of the cluster in log.store, so that the primary is found; or promote one.")
    SERVER_ENCODING = _row("LOG516", "The PostgreSQL database does not have the encoding UTF8.", "Make a database with ENCODING 'UTF8' and TEMPLATE template0.")
    SCHEMA = _row("LOG517", "The tables in the PostgreSQL database are of another version than this program.", "With the program that is to run, on one machine: gateway store migrate --config FILE")

    COMMIT = _row("LOG519", "A commit failed: whether it happened shows when the log is opened anew.", "Look after the disk, or the server. On a file only a new process opens the log: a supervisor starts one by itself, a hub of one process is to be restarted. On a server the hub comes back by itself.")
    OCCUPIED = _row("LOG520", "Another process holds the store, for longer than its turn may take.", "See which one hangs, and end it; /readyz names a worker that does not answer. The others go on by themselves; repeat a command.")
    ROLE = _row("LOG521", "The PostgreSQL server has no such role.", "Correct --grant, or make the role first, as one that may log in: CREATE ROLE")
    IN_FORCE = _row("LOG522", "The store does not tell under which agreement a hub served on it last.", "On a new log the hub serves first. Otherwise its table agreements is damaged: keep the store as it is, put the rows of that table from a backup in their place, and report the incident.")
    MOVED = _row("LOG518", "The log goes on in another store.", "Name that store in log.store of the settings (gateway store copy said which). This one stays readable.")

    # Buckets and their keys.
    BUCKET_NAME = _row("LOG641", "This is not the name of a bucket.", "Name it by retention class and month, such as exchange/2026-11.")
    BUCKET_KEYS = _row("LOG642", "The directory of bucket keys is missing or cannot be used.", "Correct the path (log.bucket_keys in the settings) or its permissions; only for a new log: gateway log init --config FILE")
    BUCKET_KEY = _row("LOG643", "The key of a bucket is missing although no erasure of it is recorded.", "Check that log.bucket_keys names the directory of this log. If it does, look for the key in the copies of that directory, and report the incident.")
    WRAPPED = _row("LOG644", "A seed or a kept message does not open with the key of its bucket.", _DAMAGED)
    KEYS_MISSING = _row("LOG645", "No bucket keys were named.", "Name their directory with --bucket-keys DIR or --config FILE.")

    # Erasure and pruning.
    ERASURE = _row("LOG646", "What stands beside the tree as erased is not what the erasure entries say.", _DAMAGED)
    SEED_REMAINS = _row("LOG647", "An erasure names the entry, but what was kept of it is still there.", "An erasure is being ended, by its command or by the start of a hub: check again. If it stays, it came back, perhaps from a backup: report the incident.")
    BUCKET_KEY_REMAINS = _row("LOG648", "The bucket was erased, but its key is still there.", "Start the hub, or any command that writes to the log: it ends what was begun. If the key came back from a copy, destroy that copy.")
    PRUNING = _row("LOG649", "The minimum index of the store is not the one that the log records, or lies above the entry that records it.", _DAMAGED)
    PRUNED = _row("LOG650", "The entry lies below the minimum index of the log: it was pruned.", "Its hash is still in the tree, and proofs of it that were handed out still verify.")
    NOT_ERASABLE = _row("LOG651", "This cannot be erased so.", "Name entries or a bucket that has ended, and a ground of the legal basis.")
    NOT_DUE = _row("LOG652", "The retention period has not ended.", "See what is due: gateway log retention --config FILE")
    NOTHING = _row("LOG653", "Nothing of it is left to erase.", "See what was erased: gateway log list --kind erasure")
    NOT_DONE = _row("LOG654", "Nothing was done: another command came in between, or the entry could not be signed or kept.", "Repeat it. If it stays so, look after the token and the bucket keys.")
    WRITE_AHEAD = _row("LOG655", "Old pages of the store still hold what was erased: somebody reads it, or its server has not removed them.", "A file is cleared when the hub stops, and by the next erasure; on a server the owner of the tables does it: VACUUM", Level.NOTICE)
    PRUNED_REMAINS = _row("LOG656", "Entries below the minimum index are still there.", "A pruning is being ended, by its command or by the start of a hub: check again. If they stay, they came back, perhaps from a backup.", Level.NOTICE)
    SUCCESSOR_KEY = _row("LOG657", "What was erased of this log after it ended is accounted for by a log whose key was not given.", "Give the key of that log as well, after the keys of this one: --vkey")
    ACCOUNT = _row("LOG658", "The account of what was erased of this log after it ended does not hold.", _DAMAGED)
    UNKEPT = _row("LOG659", "Entries below the minimum index are no longer kept: their hashes were checked, not what they say.", "See when they were pruned: gateway log list --kind pruning", Level.NOTICE)

    # The agreement against the log, and what happened to one exchange.
    REFERENCE = _row("LOG751", "Nothing answers to this reference.", "Give the incident of the fault, or the index of the reply; with --as also the ticket of a question that was recorded: one that was refused leaves its ticket free.")
    NOT_KEPT = _row("LOG752", "No such revision of the agreement is kept.", "Name a directory with agreement.toml; or with --config or --store in-force, or the hash of a revision that the hub has served under.")
    # A log as a directory or site of tiles, and what is proved of it.
    NO_SITE = _row("LOG601", "There is no checkpoint here: this is no exported log.", "Name the directory that gateway log export wrote, with its checkpoint.")
    BUNDLE = _row("LOG602", "An entry bundle is malformed, has another number of entries than its name says, or differs from the tree.", _DAMAGED)
    UNCOVERED = _row("LOG603", "A file is no part of the tree that the checkpoint covers.", "If an export or a copy is under way or was interrupted, let it end or run it again; otherwise find out who put it there.", Level.NOTICE)
    OTHER_DIRECTORY = _row("LOG604", "The directory holds another log, or something else.", "Name an empty directory, or the one that this log was exported to before; if a former key signed what is there, give that with --vkey too.")
    NO_EXTENSION = _row("LOG605", "The log does not extend what was exported to this directory before.", "Export nothing there. Keep the directory and the store as evidence, and report the incident.")
    EXPORTING = _row("LOG606", "Another export to this directory is under way.", "Wait until it has ended.")
    CONSISTENCY_FORM = _row("LOG607", "The consistency proof is malformed.", _FETCH)
    OTHER_SIZE = _row("LOG608", "The proof starts from another size than the checkpoint has.", "Give the checkpoint that the proof was asked for, or have it made anew: gateway log prove-consistency")
    NO_EARLIER = _row("LOG609", "No earlier checkpoint was given.", "Give the checkpoint that you kept with --pin.")

    # Evidence files.
    CONTAINER = _row("LOG661", "The evidence file is not the container that the gateway writes.", "Take the file as it was exported: one that was packed anew, cut off or changed is no evidence.")
    PIECE_MISSING = _row("LOG662", "The evidence file lacks a piece.", _AGAIN)
    PIECE_SURPLUS = _row("LOG663", "The evidence file holds a piece that its signature does not cover, or that has no place in it.", _AGAIN)
    PIECE_ALTERED = _row("LOG664", "A piece of the evidence file is not the one that its signature covers.", _AGAIN)
    SEAL = _row("LOG665", "The signature over the evidence file does not verify.", _AGAIN)
    SEALER = _row("LOG666", "The certificate that signed the evidence file was not valid then, or leads to no anchor.", _ANCHOR)
    MESSAGE_FORM = _row("LOG667", "A signed message does not have the profile of PROTOCOL.md §4.", _AGAIN)
    MESSAGE_SIGNATURE = _row("LOG668", "The signature of a message does not verify: it was changed, or another key signed it.", _AGAIN)
    MESSAGE_OTHER = _row("LOG669", "A message is not the one that the entry names: its signature has another hash.", _AGAIN)
    MESSAGE_SIGNER = _row("LOG670", "A message was signed for another authority than the entry names.", _AGAIN)
    MESSAGE_TIME = _row("LOG671", "The timestamp of a message does not fit the time of the entry.", _AGAIN)
    PATH = _row("LOG672", "The certificate that signed a message leads to no anchor, or lacks the profile of certs/README.md.", _ANCHOR)
    VALIDITY = _row("LOG673", "The certificate that signed a message was not valid at the time of the entry.", _REPORT)
    REVOKED = _row("LOG674", "The certificate that signed a message was revoked at the time of the entry.", _REPORT)
    REVOCATION = _row("LOG675", "Nothing in the evidence file tells whether the certificate was revoked at the time of the entry.", "Give the list of that time with --crl. The hub may have accepted the certificate by the grace of the register.")
    BODY = _row("LOG676", "The commitment to the body does not open with what is in the evidence file.", _AGAIN)
    AGREEMENT = _row("LOG677", "The agreement in the evidence file is not the revision that the entry names.", _AGAIN)
    TIMESTAMP = _row("LOG678", "The time-stamp token does not verify, or was not made of this checkpoint.", "Give the token that was made of this checkpoint, and the anchor of its authority with --tsa-anchor.")
    TIMESTAMP_UNTRUSTED = _row("LOG679", "The time-stamp token was not checked: no anchor of its authority was given.", "Give the anchor with --tsa-anchor, taken from its authority.", Level.NOTICE)
    OWN_ANCHORS = _row("LOG680", "The certificates lead to anchors that come with the evidence file itself.", "Give the anchors that you trust with --anchor.", Level.NOTICE)
    DOCUMENT_APART = _row("LOG681", "A message holds a document, which is not in the evidence file: only who signed and when was checked, not the rest of the message.", "Give the document with --document.", Level.NOTICE)
    DOCUMENT_LINES = _row("LOG682", "A message held its document as base64 in lines: the digest over its Body cannot be computed again.", "Whoever has the message itself can check it.", Level.NOTICE)
    APART = _row("LOG683", "The entries of the evidence file do not belong together.", _AGAIN)
    SEED_ERASED = _row("LOG684", "Nothing is kept of this entry: its seed was erased.", "The entry can be proved without it: gateway log prove")
    NO_REVISION = _row("LOG685", "The store does not hold the agreement, or the trusted certificates, of the entry.", "Keep the store as it is, and report the incident.")
    UNSIGNED_FILE = _row("LOG686", "The evidence file could not be signed: the token that holds the hub's key did not sign.", "Try again; see keys.sign_rsa_key in the settings.")
    TIMESTAMP_UNCLEARED = _row("LOG688", "No list tells whether the time-stamping authority was revoked: that was not checked.", "Give its lists, and those of the authorities above it, with --tsa-crl.", Level.NOTICE)
    MESSAGE_GONE = _row("LOG687", "What was kept of an entry is missing although no erasure is recorded.", _DAMAGED)
    # The officer's search.
    ACCESS = _row("LOG731", "The access covers entries that were not in the log yet.", _DAMAGED)
    NO_OFFICER = _row("LOG732", "This login is no officer of the log.", "Have the operator name it in log.officers of the settings.")
    RIGHT = _row("LOG733", "The officer does not have this right.", "Ask an officer who has it, or have the operator grant it in log.officers of the settings.")
    OFFICERS = _row("LOG734", "The settings name officers that cannot be believed.", "Name each login once in log.officers, for the hub or an authority of the register.")
    NOT_ITS_OWN = _row("LOG735", "The officer's authority took no part in the exchange of this entry.", "Ask an officer of an authority that did. The entry stays provable by its hash, which stands in the tree.")
    NO_RECORD = _row("LOG736", "The question could not be recorded in the exchange log, so it is not answered.", "Look after the log's key and store, and ask again.")
    ANSWER_FORM = _row("LOG737", "The answer is malformed.", "Use the directory as it was written.")
    ANSWER = _row("LOG738", "The answer leaves out an entry that matches the question, or holds one that does not.", "Have the question asked again, and keep both answers.")
    SETTINGS = _row("LOG739", "This cannot be done without the settings of the hub.", "Name them with --config FILE.")
    # Pins, witnesses, succession.
    PIN_MISSING = _row("LOG701", "The pin that the settings or the command line name is not there.", "If its disk is absent, mount it. Only if there never was one: gateway log pin FILE")
    FORK = _row("LOG702", "Two signed checkpoints contradict each other: the log was forked.", "Keep both checkpoints as evidence, stop the log, and report the incident.")
    UNCOMPARED = _row("LOG703", "Checkpoints of two sizes cannot be compared by themselves.", "Name the log with --store, --config or --site, or give a consistency proof with --proof.")
    PIN_EXISTS = _row("LOG704", "There is a pin of a log where a new one is to begin.", "If the store of that log is lost, its log cannot be begun again: name another origin and another pin in the settings.")
    POLICY_FORM = _row("LOG705", "The trust policy is malformed.", "Correct the line; the form is that of C2SP tlog-policy.")
    QUORUM = _row("LOG706", "The checkpoint has too few cosignatures for the trust policy.", "Ask the log for a checkpoint with more cosignatures; if it has none, find out why its witnesses do not sign.")
    REQUEST_FORM = _row("LOG707", "The message between log and witness is malformed.", "See C2SP tlog-witness for the form.")
    WITNESS_STORE = _row("LOG708", "The database of the witness is not there, or is another's.", "A witness that forgot what it cosigned must not go on under its key. If the database is lost, begin a witness with another name and key: gateway witness init")
    WITNESS_EXISTS = _row("LOG709", "There is a key or a database where a new witness is to begin.", "Use the witness that is there, or name other files in its settings.")
    WITNESS_CLOCK = _row("LOG710", "The clock of the witness is behind its last cosignature.", "Set the clock. If it was ahead when the witness last cosigned, the witness goes on once that time has come.")
    WITNESS_AHEAD = _row("LOG711", "A witness holds a checkpoint, signed by the log, that is beyond the log.", "Do not append. The store went back, or the log's key signs elsewhere. If the newer store is not found, begin a successor: gateway log succeed")
    WITNESS_SILENT = _row("LOG712", "Too few witnesses could be asked what they hold.", "See why they do not answer. To start without them: at_start = warn (witnesses in the settings)")
    FROZEN = _row("LOG713", "The log is frozen: a fork or a rollback was proved.", "Keep the store as it is and report the incident; gateway log fork prints the evidence. To go on, begin a successor: gateway log succeed --reason forked")
    ENDED = _row("LOG714", "The log has ended: it has a successor.", "Name the store of the successor in the settings. This one stays readable.")
    SUCCESSION = _row("LOG715", "A log begins for another at its first entry only.", _DAMAGED)
    ROTATION = _row("LOG716", "The key that the entry announces is none of this log.", _DAMAGED)
    AGREED_MISSING = _row("LOG718", "What the old log was is not said.", "Give the last checkpoint that everybody agrees on with --agreed, and the store with --from unless it is lost; of a log that ended in order the store is enough.")
    OUTSTANDING = _row("LOG717", "Deliveries wait in the store: a successor would not have them.", "Let them be delivered, or drop them: gateway queue list")
    UNPINNED = _row("LOG719", "Any of several servers may become the primary, and no pin tells whether its log lacks entries.", "Name a pin in the settings (log.pin), one for each node, and begin it: gateway log pin FILE", Level.NOTICE)
    FORMER = _row("LOG720", "The stores of former logs are not those of the logs that this one succeeds.", "Name in log.former of the settings the store of each of them, the oldest first.")
    # fmt: on

    @property
    def row(self) -> FlawRow:
        return self.value


class ProofError(Exception):
    """Evidence that does not hold. `about` narrows the sentence: an index, a key, a path."""

    def __init__(self, flaw: Flaw, about: str = "") -> None:
        super().__init__(f"{flaw.row.code}: {flaw.row.sentence}" + (f" ({about})" if about else ""))
        self.flaw: Final = flaw
        self.about: Final = about

    def __reduce__(self) -> tuple[type[ProofError], tuple[Flaw, str]]:
        """Goes from one process to another."""
        return type(self), (self.flaw, self.about)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check of a whole log has found."""

    flaw: Flaw
    index: int | None = None  # the entry concerned
    about: str = ""

    @property
    def fails(self) -> bool:
        return self.flaw.row.level is Level.FAILURE
