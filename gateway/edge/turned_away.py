"""What is said to messages that the hub does not read, because their authority is over its quota or the hub is busy.

A signed fault, and a signature costs more than all else that a refusal needs. So one fault serves for a second: it
repeats nothing of any message, and its incident is that second. A flood of refusals costs one signature a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.broker.reply import Signer
from gateway.edge.operational_log import OperationalLog
from gateway.exchangelog.exchange_id import new_exchange_id
from gateway.model import Authority, AuthorityId, ExchangeId, SoapVersion
from gateway.refusal import Code, Refusal

_SERVES: Final = timedelta(seconds=1)

Kind = tuple[AuthorityId, SoapVersion, Code]


@dataclass(frozen=True, slots=True)
class _Fault:
    """A fault that was made, or is being made."""

    made: datetime
    signer: Signer
    retry_after: int | None
    message: asyncio.Future[bytes]

    def serves(self, signer: Signer, refusal: Refusal, now: datetime) -> bool:
        asked = (signer, refusal.retry_after)
        return (self.signer, self.retry_after) == asked and timedelta() <= now - self.made < _SERVES


class TurnedAway:
    """Owns the fault of this second, of each authority, SOAP version and code."""

    def __init__(
        self, clock: Callable[[], datetime], random: Callable[[int], bytes], log: OperationalLog
    ) -> None:
        self._clock = clock
        self._random = random
        self._log = log
        self._faults: dict[Kind, _Fault] = {}

    async def fault(self, refusal: Refusal, peer: Authority, version: SoapVersion, signer: Signer) -> bytes:
        """The signed fault. Raises Refusal: SIGNING_UNAVAILABLE."""
        now, kind = self._clock(), (peer.id, version, refusal.code)
        fault = self._faults.get(kind)
        if fault is None or not fault.serves(signer, refusal, now):
            incident = new_exchange_id(now, self._random)
            made = asyncio.ensure_future(signer.turned_away(refusal, peer, version, incident, now))
            self._faults[kind] = fault = _Fault(now, signer, refusal.retry_after, made)
            self._tell(refusal, peer, incident)
        return await asyncio.shield(fault.message)  # others may wait for it, too

    def _tell(self, refusal: Refusal, peer: Authority, incident: ExchangeId) -> None:
        row = refusal.code.row
        self._log.note("refused", exchange=incident, peer=peer.id, code=row.code, label=row.label)
