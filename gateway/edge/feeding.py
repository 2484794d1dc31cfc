"""Feeding witnesses: new checkpoints are sent to them in the background, and their cosignatures kept.

No exchange waits for a witness. What is watched is how long ago enough of them cosigned: first that warns, then,
where the settings say so, it stops exchanges. A witness that holds what this log did not make, under this log's
signature, is proof of a fork or of a rollback: the log is frozen (PROTOCOL.md §8.18).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.adapters.metrics import Metrics
from gateway.adapters.store import Store
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_witnessed import CosignedNote, Frozen
from gateway.adapters.witness_client import UnreachableError, WitnessClient
from gateway.broker.event import trace
from gateway.edge.operational_log import OperationalLog
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signature, parse_note
from gateway.exchangelog.pin import prover
from gateway.exchangelog.quorum import TrustPolicy, Witness
from gateway.exchangelog.witness import SIZE_TYPE, AddCheckpoint, read_cosignature, read_size, require_grown
from gateway.refusal import Refusal

_PAUSE: Final = 1.0  # seconds from the end of one round to the next look at the log
_TRIES: Final = 3  # of one round: the size that a witness holds is learnt from its first answer
_CONTRADICTIONS: Final = ("fork", "conflict")  # outcomes: with what shows it, and without
_PROOFS: Final = (Flaw.FORK, Flaw.WITNESS_AHEAD)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the log may be without enough cosignatures, in seconds."""

    warn: float
    stop: float | None  # None: exchanges go on

    @property
    def refresh(self) -> float:
        """After that a log that has not grown is cosigned again, so that its silence is not taken for trouble."""
        return self.warn / 3


class Feeder:
    """Owns what is known of each witness."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        policy: TrustPolicy,
        patience: Patience,
        *,
        store: Store,
        reader: LogReader,
        client: WitnessClient,
        metrics: Metrics,
        log: OperationalLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._policy = policy
        self._patience = patience
        self._store = store
        self._reader = reader
        self._client = client
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._held: dict[str, int] = {}  # sizes that witnesses are known to hold
        self._outcomes: dict[str, str] = {}  # of each witness, its last
        self._late = False
        self._last = CosignedNote(0, b"", self._now())
        for witness in policy.witnesses.values():
            metrics.expect_witness(witness.key.name, _CONTRADICTIONS)

    @property
    def trouble(self) -> str | None:
        """Why exchanges are refused; None while they are not."""
        if self._patience.stop is None or self._lag() <= self._patience.stop:
            return None
        return "the witnesses have not cosigned for too long"

    def renew(self, tls: ssl.SSLContext) -> None:
        """See `WitnessClient.renew`."""
        self._client.renew(tls)

    async def first(self, *, refuse: bool) -> None:
        """Before anything is appended: what witnesses hold, this log extends.

        Raises `ProofError`: LOG702 or LOG711 when it does not; with `refuse` LOG712 when too few can be asked.
        """
        kept = await self._store.cosigned()
        self._last = kept or self._last
        self._metrics.cosigned(self._last.time if kept else 0)
        results = await asyncio.gather(*(self._asked_first(one) for one in self._policy.witnesses.values()))
        answered = {name: 0 for name in results if name is not None}
        if refuse and not self._policy.is_met(answered):
            raise ProofError(Flaw.WITNESS_SILENT, ", ".join(answered) or "none answered")
        await self._watch()  # of a log that was not cosigned for too long nothing is recorded before it is

    async def run(self, leads: asyncio.Event) -> None:
        """Until cancelled. Without `leads` another process of the hub feeds, and this one reads what came of it."""
        while True:
            await self._outlive(self.round() if leads.is_set() else self._follow())
            await self._outlive(self._watch())
            await asyncio.sleep(_PAUSE)

    async def _outlive(self, step: Awaitable[None]) -> None:
        try:
            await step
        except Refusal as refusal:  # the store is busy or has failed: the next round keeps it
            self._log.note("witnesses", code=refusal.code.row.code)
        except ProofError as error:
            self._log.note("witnesses", code=error.flaw.row.code)
        except Exception as error:  # noqa: BLE001 - the feeding outlives a bug
            self._log.note("failed", trace=trace(error))

    async def round(self) -> None:
        """Send the checkpoint of this moment to all, and keep it if enough cosign; what another node had cosigned counts.
        Raises Refusal, `ProofError`.
        """
        await self._follow()
        note = await self._store.checkpoint()
        if self._last.note.startswith(note) and self._lag() < self._patience.refresh:
            return
        checkpoint = Checkpoint.parse(parse_note(note).text)
        found = await asyncio.gather(
            *(self._one(witness, note, checkpoint) for witness in self._policy.witnesses.values())
        )
        signed = note + "".join(one.line for one in found if one is not None).encode()
        if self._policy.is_met(self._policy.times(signed, self._now())):
            self._last = CosignedNote(checkpoint.size, signed, self._now())
            await self._store.keep_cosigned(self._last)
            self._metrics.cosigned(self._last.time)

    async def _follow(self) -> None:
        """What is cosigned, as whichever process fed kept it. Raises Refusal."""
        kept = await self._store.cosigned()
        if kept is not None:
            self._last = kept
            self._metrics.cosigned(kept.time)

    async def _asked_first(self, witness: Witness) -> str | None:
        """Its name in the policy when it answered. Raises `ProofError`."""
        try:
            held = await self._client.latest(witness.url or "", self._store.origin)
            if held is not None:
                await self._require_ours(held, freeze=False)
        except UnreachableError:
            self._told(witness, "unreachable")
            return None
        except ProofError as error:
            if error.flaw in _PROOFS:
                raise ProofError(error.flaw, f"{witness.key.name}: {error.about}") from error
            self._told(witness, "unproved")  # not by our key: it says nothing of this log
            return None
        return witness.name

    async def _one(self, witness: Witness, note: bytes, checkpoint: Checkpoint) -> Signature | None:
        try:
            signature, outcome = await self._cosigned(witness, note, checkpoint)
        except UnreachableError:
            signature, outcome = None, "unreachable"
        except ProofError as error:
            signature, outcome = None, "fork" if error.flaw in _PROOFS else "malformed"
        self._told(witness, outcome)
        return signature

    async def _cosigned(
        self, witness: Witness, note: bytes, checkpoint: Checkpoint
    ) -> tuple[Signature | None, str]:
        """Its cosignature, and in a word what came. Raises UnreachableError, `ProofError`."""
        prove, size = prover(checkpoint.size, self._reader.tile), checkpoint.size
        old, url = min(self._held.get(witness.name, 0), size), witness.url or ""
        for _ in range(_TRIES):
            proof = prove(old, size) if 0 < old < size else ()
            answer = await self._client.add(url, AddCheckpoint(old, tuple(proof), note).serialise())
            if answer.status == 200:
                signature, _time = read_cosignature(answer.body, checkpoint.text, witness.key)
                self._held[witness.name] = size
                return signature, "cosigned"
            known = read_size(answer.body) if (answer.status, answer.kind) == (409, SIZE_TYPE) else old
            if known == old or known > size:
                break
            old = known
        if answer.status not in {409, 422}:
            return None, "refused"
        held = await self._client.latest(url, checkpoint.origin)
        if held is not None:
            await self._require_ours(held, freeze=True)
        # Another node may have sent a newer one: the next round proves that this log extends what the witness holds.
        overtaken = answer.status == 409 and size < known <= _size(await self._store.checkpoint())
        return None, "overtaken" if overtaken else "conflict"

    async def _require_ours(self, held: bytes, *, freeze: bool) -> None:
        """That the log extends what a witness holds. Raises `ProofError`; proof against the log is kept."""
        mine = await self._store.checkpoint()  # after the witness's: the log may have grown meanwhile
        size = _size(mine)
        try:
            require_grown(held, self._store.verifiers, size, self._reader.tile)
        except ProofError as error:
            # A store that went back, found before anything was appended, may still be put right.
            if error.flaw is Flaw.FORK or (freeze and error.flaw is Flaw.WITNESS_AHEAD):
                await self._store.freeze(Frozen(self._now(), mine, held))
                self._log.note("frozen", code=error.flaw.row.code)
            raise

    def _told(self, witness: Witness, outcome: str) -> None:
        """Each time in the metrics, in the operational log when it changes."""
        self._metrics.witnessed(witness.key.name, outcome)
        if self._outcomes.get(witness.name) != outcome:
            self._outcomes[witness.name] = outcome
            self._log.note("witness", witness=witness.key.name, outcome=outcome)

    async def _watch(self) -> None:
        late = self._lag() > self._patience.warn
        if late != self._late:
            self._late = late
            self._log.note("cosignatures", outcome="late" if late else "in time", seconds=round(self._lag()))
        await self._store.hold(self.trouble is not None)

    def _lag(self) -> float:
        return max(0.0, self._clock().timestamp() - self._last.time)

    def _now(self) -> int:
        return int(self._clock().timestamp())


def _size(note: bytes) -> int:
    return Checkpoint.parse(parse_note(note).text).size
