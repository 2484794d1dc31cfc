"""The hub's store: exchange log, dossier directory and queue in one SQLite file or PostgreSQL database.

Changes are made by the one thread of `store_appender`, each with its entry of the log in one transaction.
Look-ups are made where `store_reading` has it. Reading and checking the log from another process is `store_reader`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.x509 import Certificate

from gateway.adapters import (
    store_agreements,
    store_documents,
    store_mailbox,
    store_notifications,
    store_proof,
    store_queue,
    store_releases,
    store_seeds,
    store_settle,
    store_trust,
    store_witnessed,
)
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.sealing import Seal
from gateway.adapters.store_appender import MAX_QUEUE, Appender, Reopen
from gateway.adapters.store_connect import exists
from gateway.adapters.store_delivery import FETCHED, SENT, Row, parties, reading
from gateway.adapters.store_directory import Directory
from gateway.adapters.store_log import Log, new_log
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_reading import Reads, reads
from gateway.adapters.store_session import Session, StorePlace
from gateway.adapters.store_witnessed import CosignedNote, Freeze, Frozen, KeepCosigned
from gateway.adapters.store_work import ClaimKey, Work, instant
from gateway.broker.content import Uploaded
from gateway.broker.ports import Depth, Told, Waiting
from gateway.exchangelog.bucket import bucket_of
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.cosignature import Cosigner
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import NoteKey, PrivateKey, Signer, parse_note
from gateway.identity.revocation import Word
from gateway.identity.trust import Trust
from gateway.model import (
    Accepted,
    AuthorityId,
    Delivery,
    DossierNumber,
    DossierScope,
    ExchangeId,
    Passage,
    Receipt,
    Ticket,
)
from gateway.policy.rectify import EarlierRelease, Outstanding
from gateway.refusal import Code, Refusal

__all__ = ["LogReader", "Store"]


class Store:
    """Every port of the broker but the spokes. One per process; several processes may share a store."""

    def __init__(  # noqa: PLR0913, PLR0917 - `open` puts them together
        self,
        place: StorePlace,
        appender: Appender,
        signers: Sequence[Signer],
        looks: Reads,
        seal: Seal,
        bucket_keys: BucketKeys,
        keys: ClaimKey,
        former: Sequence[store_releases.Former] = (),
    ) -> None:
        self._former = former
        self._over: Flaw | None = None
        self._lacks: Flaw | None = None  # why look-ups fail, or entries of new buckets and proofs
        self._place = place
        self._appender = appender
        self._origin = signers[0].name
        self._verifiers = {one.verifier: None for one in signers}
        self._seal = seal
        self._bucket_keys = bucket_keys
        self._reads = looks
        self._keys = keys

    @classmethod
    def open(  # noqa: PLR0913 - which log, whose, and how it is opened
        cls,
        place: StorePlace,
        signer: PrivateKey,
        origin: str,
        *,
        payload_key: bytes,
        bucket_keys: BucketKeys,
        also: Sequence[PrivateKey] = (),
        create: bool = False,
        pinned: Checkpoint | None = None,
        former: Sequence[StorePlace] = (),
        beside: Cosigner | None = None,
        queue_limit: int = MAX_QUEUE,
    ) -> Store:
        """Opens the store. `create`: makes a new one where there is none; otherwise that is LOG506.

        A hub never creates: behind a mistyped path it would start a second log, in which every ticket can be
        used again. `origin` names the log and its key; `also` signs too, while the log changes its key; `beside`:
        an ML-DSA-44 key that signs each checkpoint, too.
        `pinned` is a checkpoint kept elsewhere that the log must extend; `former`: stores of the logs that it
        succeeds, the oldest first. Raises `ProofError` for a log that does not verify, and for a payload key (32 bytes) that
        is not the one under which payloads wait (LOG511), or bucket keys that are not those of this log.
        """
        seal = Seal(payload_key)
        named = [Signer.of(origin, key) for key in (signer, *also)]
        if create and not exists(place):
            new_log(place, named)
        log = store_settle.open_settled(place, named, bucket_keys, pinned, beside, former)
        try:
            store_agreements.require_key(place, seal)
            predecessors = _predecessors(former, bucket_keys)
            looks = reads(place)
            appender = Appender(log, queue_limit, _reopening(place, bucket_keys, beside, looks))
            return cls(place, appender, named, looks, seal, bucket_keys, log.keys, predecessors)
        except ProofError:
            log.close()
            raise

    @property
    def ready(self) -> bool:
        """False once a commit has failed, after `close`, and while work waits longer than a signature may take."""
        return self._appender.ready

    @property
    def trouble(self) -> Flaw | None:
        """Why nothing is appended, and on a server why it could not be taken again; None while something is, or hangs.

        What others did to the log is known from the next entry on, or the next `look`; and from `watch` that nothing can be
        looked up, or that its bucket keys are away.
        """
        return self._over or self._appender.trouble or self._lacks

    @property
    def failed(self) -> bool:
        """A commit failed, and only another process will open the log anew."""
        return self._appender.failed

    @property
    def held(self) -> bool:
        """Whether no entry is taken: too few witnesses, or the log is frozen."""
        return self._appender.held

    @property
    def size(self) -> int:
        """Entries in the log as far as this process knows."""
        return self._appender.size

    async def due(self, years: int, now: datetime) -> int:
        """Buckets, of former logs as well, whose retention period of so many years has ended and that are not erased."""
        with reading("log"):
            mine = await self._reads.look(lambda at: store_seeds.due(at, years, now))
            return len(mine.union(*[await one.due(years, now) for one in self._former]))

    async def checkpoint(self) -> bytes:
        """The signed checkpoint as it is stored at this moment, verbatim. Raises `Refusal`: LOG_UNAVAILABLE."""
        with reading("head"):
            return await self._reads.look(_note)

    @property
    def pending(self) -> int:
        """Works that are not durable yet."""
        return self._appender.waiting

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._origin

    @property
    def verifiers(self) -> Sequence[NoteKey]:
        """Every key by which the log was signed since this process began."""
        return tuple(self._verifiers)

    # Witnesses.

    async def cosigned(self) -> CosignedNote | None:
        """The newest checkpoint with enough cosignatures. Raises `Refusal`: LOG_UNAVAILABLE."""
        with reading("cosigned"):
            return await self._reads.look(store_witnessed.cosigned)

    async def keep_cosigned(self, cosigned: CosignedNote) -> None:
        """Keep it beside the head. Raises `Refusal`: BUSY, LOG_UNAVAILABLE."""
        await self._appender.perform(Work(None, KeepCosigned(cosigned)))

    async def freeze(self, frozen: Frozen) -> None:
        """Append nothing any more, for good, and keep why. Raises `Refusal`: BUSY, LOG_UNAVAILABLE."""
        await self._appender.perform(Work(None, Freeze(frozen), of_head=True))
        await self.hold(wanted=True)

    async def hold(self, wanted: bool) -> None:  # noqa: FBT001 - a switch
        """Take no entry as long as it is wanted: what asks for one is refused with LOG_UNAVAILABLE."""
        self._appender.held = wanted or await self.look()

    async def look(self) -> bool:
        """Whether the log takes no entry any more, by whichever process it was ended or frozen; `trouble` says why from then
        on. Raises `Refusal`: LOG_UNAVAILABLE.
        """
        with reading("frozen"):
            found = await self._reads.look(store_witnessed.frozen)
        self._over = None if found is None else found.flaw
        return found is not None

    async def watch(self) -> None:
        """Look at what may end or hinder the log though nothing is appended. Raises `Refusal`: LOG_UNAVAILABLE."""
        try:
            await self.look()
        except Refusal:  # what appends may have its session still
            self._lacks = Flaw.UNREADABLE if isinstance(self._place, Path) else Flaw.DATABASE
            raise
        self._lacks = None if await asyncio.to_thread(self._bucket_keys.there) else Flaw.BUCKET_KEYS

    # ExchangeLog, and what the store itself is told.

    async def append(self, entry: Entry) -> Receipt:
        """See `ports.ExchangeLog`. After LOG_UNAVAILABLE the entry may or may not exist."""
        work: Work[int] = Work(entry)
        return self._receipt(await self._appender.perform(work))

    async def unannounced(self, keys: Sequence[PrivateKey]) -> Sequence[str]:
        """The vkeys of those that have not signed the present checkpoint. Raises `Refusal`: LOG_UNAVAILABLE."""
        signed = {one.key_id for one in parse_note(await self.checkpoint()).signatures}
        known = (Signer.of(self._origin, key).verifier for key in keys)
        return [one.vkey for one in known if one.key_id not in signed]

    async def prove(self, receipt: Receipt) -> Receipt:
        """See `ports.Proving`."""
        return await self._reads.look(lambda at: store_proof.prove(at, self._bucket_keys, receipt))

    async def sign_with(self, keys: Sequence[PrivateKey]) -> None:
        """Sign checkpoints with these keys from now on, the present one too.

        Raises `ProofError` when it has a signature of none of them, for then nobody could tell that the log is
        the same; `Refusal`: BUSY, LOG_UNAVAILABLE.
        """
        signers = [Signer.of(self._origin, key) for key in keys]
        open_checkpoint(await self.checkpoint(), [one.verifier for one in signers])
        await self._appender.sign_with(signers)
        self._verifiers |= {one.verifier: None for one in signers}

    async def remember(self, revision: str, files: Mapping[str, bytes]) -> None:
        """Keep the agreement in force, for what is accepted under it. Raises Refusal: LOG_UNAVAILABLE."""
        now = instant(datetime.now(UTC))
        effect = store_agreements.Remember(revision, store_agreements.packed(files), now)
        await self._appender.perform(Work(None, effect))

    async def believe(self, trust: Trust, now: datetime) -> None:
        """Keep what is believed from now on, so that signatures can be judged by it later. Raises Refusal: LOG_UNAVAILABLE."""
        await self._appender.perform(Work(None, store_trust.Believe.of(trust, now)))

    async def hear(self, certificate: Certificate, word: Word, answer: bytes, now: datetime) -> None:
        """Keep what a responder answered (DER), judged. Raises Refusal: LOG_UNAVAILABLE."""
        await self._appender.perform(Work(None, store_trust.Hear(certificate, word, answer, instant(now))))

    async def agreement(self, revision: str) -> Mapping[str, bytes] | None:
        """See `ports.Archive`. The files are as stored: whoever compiles them compares the revision."""
        return await self._reads.look(lambda at: store_agreements.agreement(at, revision))

    # Directory, History.

    async def scope(self, dossier: DossierNumber) -> DossierScope | None:
        """What the directory knows of the dossier, None when nothing. Raises `Refusal` (LOG_UNAVAILABLE)."""
        with reading("directory"):
            return await self._reads.look(lambda at: Directory(at).get(dossier))

    async def history(self, dossier: DossierNumber) -> tuple[Passage, ...]:
        """The statuses that the dossier went through, in order. Raises `Refusal` (LOG_UNAVAILABLE)."""
        with reading("directory"):
            return await self._reads.look(lambda at: Directory(at).history(dossier))

    async def put_scope(self, scope: DossierScope) -> None:
        """Replaces what the directory knows of the dossier. Raises `Refusal` (LOG_UNAVAILABLE)."""
        await asyncio.to_thread(self._put_scope, scope)

    async def releases(self, dossier: DossierNumber) -> list[EarlierRelease]:
        """See `ports.History`."""
        found = [one for former in self._former for one in await former.releases(dossier)]
        return found + await self._reads.look(
            lambda at: store_releases.releases(at, self._bucket_keys, dossier)
        )

    async def outstanding(self, dossier: DossierNumber) -> list[Outstanding]:
        """See `ports.History`."""
        return await self._reads.look(lambda at: store_releases.outstanding(at, dossier))

    # Notifications.

    async def told(self, sender: AuthorityId, ticket: Ticket, content: bytes) -> Told | None:
        """See `ports.Notifications`."""
        keys = self._keys, self._bucket_keys
        claim = sender, ticket
        return await self._reads.look(
            lambda at: store_notifications.told(at, *keys, self._origin, claim, content)
        )

    async def accept(  # noqa: PLR0913, PLR0917 - what one transaction makes durable
        self,
        entry: Entry,
        accepted: Accepted,
        payload: bytes,
        content: bytes,
        received: datetime,
        deliveries: Sequence[ExchangeId],
    ) -> Receipt:
        """See `ports.Notifications`."""
        effect = store_notifications.Accept(
            exchange=entry.exchange,
            accepted=accepted,
            bucket_keys=self._bucket_keys,
            bucket=bucket_of(entry.leaf),
            content=content,
            sealed=store_notifications.sealed(self._seal, entry.exchange, accepted, payload),
            at=instant(received),
            deliveries=tuple(deliveries),
        )
        return self._receipt(await self._appender.perform(Work(entry, effect)))

    # Queue.

    async def lease(
        self, recipients: Collection[AuthorityId], now: datetime, until: datetime, limit: int
    ) -> list[Delivery]:
        """See `ports.Queue`. What cannot be opened is buried, with the code LOG511. Nothing once the log is known to have
        ended: what is delivered could not be settled, and may be delivered from the store in which it goes on.
        """
        due = await self._reads.look(lambda at: store_queue.any_due(at, recipients, instant(now)))
        if self._over is not None or not due:
            return []
        effect = store_queue.Lease(recipients, instant(now), instant(until), limit)
        rows = await self._appender.perform(Work(None, effect))
        opened = [await self._opened_or_buried(row) for row in rows]
        return [one for one in opened if one is not None]

    async def record(self, delivery: Delivery, entry: Entry) -> Receipt:
        """See `ports.Queue`. Raises Refusal: MESSAGE_UNKNOWN when it was settled meanwhile."""
        release = SENT if entry.exchange == delivery.id else FETCHED
        return self._receipt(
            await self._appender.perform(Work(entry, store_queue.Record(delivery.id, release)))
        )

    async def recorded(self, delivery: Delivery) -> Receipt | None:
        """See `ports.Queue`."""
        found = await self._reads.look(lambda at: store_queue.recorded(at, delivery.id))
        return None if found is None else Receipt(self._origin, *found)

    async def postpone(self, delivery: Delivery, due: datetime, code: str) -> None:
        """See `ports.Queue`."""
        await self._appender.perform(Work(None, store_queue.Postpone(delivery.id, instant(due), code)))

    async def bury(self, delivery: Delivery, code: str) -> None:
        """See `ports.Queue`."""
        await self._appender.perform(Work(None, store_queue.Bury(delivery.id, code)))

    async def settle(self, delivery: Delivery, entry: Entry) -> Receipt:
        """See `ports.Queue`. Raises Refusal: MESSAGE_UNKNOWN when it is settled already."""
        return self._receipt(await self._appender.perform(Work(entry, store_queue.Settle(delivery.id))))

    async def parties(self, delivery: ExchangeId) -> tuple[str, str]:
        """See `ports.Queue`."""
        try:
            with reading("notification"):
                return await self._reads.look(lambda at: parties(at, delivery))
        except ProofError as error:
            raise Refusal(Code.LOG_UNAVAILABLE, "notification") from error

    async def overdue(self, accepted_before: datetime, limit: int) -> list[Delivery]:
        """See `ports.Queue`. Their payloads are left sealed: they are to be purged."""
        before = instant(accepted_before)
        rows = await self._reads.look(lambda at: store_queue.overdue(at, before, limit))
        return [row.unopened() for row in rows]

    async def depth(self) -> Sequence[Depth]:
        """See `ports.Queue`."""
        return await self._reads.look(store_queue.depth)

    # Mailbox.

    async def waiting(
        self, recipient: AuthorityId, after: ExchangeId | None, limit: int, now: datetime
    ) -> list[Waiting]:
        """See `ports.Mailbox`. Raises Refusal: MESSAGE_UNKNOWN when `after` is none of the recipient's."""
        return await self._reads.look(
            lambda at: store_mailbox.waiting(at, recipient, after, limit, instant(now))
        )

    async def take(
        self, recipient: AuthorityId, message: ExchangeId, now: datetime, until: datetime
    ) -> Delivery:
        """See `ports.Mailbox`. What cannot be opened is buried, with the code LOG511."""
        effect = store_mailbox.Take(recipient, message, instant(now), instant(until))
        return await self._opened(await self._appender.perform(Work(None, effect)))

    async def find(self, recipient: AuthorityId, message: ExchangeId) -> Delivery | None:
        """See `ports.Mailbox`. What cannot be opened is buried, with the code LOG511."""
        row = await self._reads.look(lambda at: store_mailbox.find(at, recipient, message))
        return None if row is None else await self._opened(row)

    # Uploads.

    async def uploaded(
        self, dossier: DossierNumber, provider: AuthorityId, reference: str
    ) -> Uploaded | None:
        """See `content.Uploads`."""
        named = dossier, provider, reference
        return await self._reads.look(lambda at: store_documents.find(at, self._keys, self._seal, named))

    async def take_in(self, entry: Entry, uploaded: Uploaded) -> None:
        """See `content.Uploads`."""
        effect = store_documents.TakeIn.of(uploaded, self._keys, self._seal)
        await self._appender.perform(Work(entry, effect))

    async def expire_uploads(self, stored_before: datetime) -> None:
        """See `content.Uploads`."""
        before = instant(stored_before)
        if await self._reads.look(lambda at: store_documents.any_expired(at, before)):
            await self._appender.perform(Work(None, store_documents.Expire(before)))

    async def uploaded_files(self) -> frozenset[str]:
        """See `content.Uploads`."""
        if await self.look():  # the hub of another store may hold documents of which this one knows nothing
            raise Refusal(Code.LOG_UNAVAILABLE, "documents")
        return await self._reads.look(store_documents.files)

    async def close(self) -> None:
        """Commits what is waiting, then closes the store."""
        await self._appender.stop()
        self._reads.close()
        for former in self._former:
            former.close()
        self._appender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _receipt(self, index: int) -> Receipt:
        return Receipt(self._origin, index, self._appender.checkpoint)

    async def _opened(self, row: Row) -> Delivery:
        """Raises Refusal: MESSAGE_UNKNOWN when it is the operator's now."""
        found = await self._opened_or_buried(row)
        if found is None:
            raise Refusal(Code.MESSAGE_UNKNOWN, "payload")
        return found

    async def _opened_or_buried(self, row: Row) -> Delivery | None:
        """One payload that was altered must not hold up the deliveries of others."""
        try:
            return row.opened(self._seal)
        except ProofError as error:
            await self._appender.perform(Work(None, store_queue.Bury(row.id, error.flaw.row.code)))
            return None

    def _put_scope(self, scope: DossierScope) -> None:
        try:
            with contextlib.closing(Directory.open(self._place, writes=True)) as directory:
                directory.put(scope)
        except ProofError as error:
            raise Refusal(Code.LOG_UNAVAILABLE, "directory") from error


def _note(session: Session) -> bytes:
    ((note,),) = session.execute("SELECT note FROM head")
    return bytes(note)


def _predecessors(paths: Sequence[StorePlace], keys: BucketKeys) -> Sequence[store_releases.Former]:
    """The stores of former logs, the oldest first. Raises `ProofError`."""
    found: list[store_releases.Former] = []
    for path in reversed(paths):
        found.insert(0, store_releases.Former(path, keys, found[0].entries if found else 0))
    return found


def _reopening(place: StorePlace, keys: BucketKeys, beside: Cosigner | None, looks: Reads) -> Reopen | None:
    """A server may come back. A file whose commit failed is opened by a new process only: the disk may be failing."""
    if isinstance(place, Path):
        return None

    def reopen(signers: Sequence[Signer], known: Checkpoint) -> Log:
        log = Log.open(place, signers, keys, known, beside)
        looks.renew(log.size)
        return log

    return reopen
