"""Asking responders, in the background and never inside an exchange: what they answer waits in `Answers`.

An answer that does not come, or is worth nothing, changes nothing: the last known one stays, for as long as it
says (PROTOCOL §5.1).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.adapters.metrics import Metrics
from gateway.adapters.ocsp import OcspClient
from gateway.broker.event import trace
from gateway.edge.operational_log import OperationalLog
from gateway.identity.chain import Certificates
from gateway.identity.ocsp import NONCE_BYTES, OcspError, Question, judge
from gateway.identity.responders import Responder, to_ask
from gateway.identity.revocation import Word

_AT_ONCE: Final = 8  # questions under way
_FIRST_SECONDS: Final = 10.0  # for the first round, before the hub listens; it goes on afterwards
Told = Callable[
    [Responder, str], None
]  # who was asked, and "good", "revoked" or why the answer is worth nothing
# What an answer says of a certificate, and its bytes: kept as evidence. Raises Refusal.
Keep = Callable[[x509.Certificate, Word, bytes, datetime], Awaitable[None]]


@dataclass(slots=True)
class Questions:
    """One round of questions, about whatever counts when it begins."""

    responders: tuple[Responder, ...]  # replaced when the files say others
    certificates: Callable[[], Certificates]  # those in force
    client: OcspClient
    clock: Callable[[], datetime]
    told: Told
    keep: Keep
    heard: asyncio.Event = field(default_factory=asyncio.Event)  # set once a round has ended
    due: asyncio.Event = field(default_factory=asyncio.Event)  # set when there is something new to ask about

    async def round(self) -> None:
        """Ask about everything, and keep what is worth something."""
        known, gate = self.certificates(), asyncio.Semaphore(_AT_ONCE)
        # In a thread: it verifies who issued every certificate, and no exchange should wait for that.
        asked = await asyncio.to_thread(self._asked, known)
        await asyncio.gather(*(self._one(known, gate, *each) for each in asked))
        self.heard.set()

    def _asked(self, known: Certificates) -> list[tuple[Responder, x509.Certificate]]:
        return list(to_ask(self.responders, known.trust, known.enrolment, self.clock()))

    async def first(self) -> None:
        """Wait for the end of the first round, or until it has taken too long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.heard.wait(), _FIRST_SECONDS)

    async def _one(
        self,
        known: Certificates,
        gate: asyncio.Semaphore,
        responder: Responder,
        certificate: x509.Certificate,
    ) -> None:
        async with gate:
            outcome = await ask(self.client, known, responder, certificate, self.clock, self.keep)
            self.told(responder, outcome)


async def ask(  # noqa: PLR0913, PLR0917 - who is asked about whom, and what becomes of the answer
    client: OcspClient,
    known: Certificates,
    responder: Responder,
    certificate: x509.Certificate,
    clock: Callable[[], datetime],
    keep: Keep | None = None,
) -> str:
    """One question. What came of it: "good", "revoked", or why the answer is worth nothing."""
    nonce = os.urandom(NONCE_BYTES) if responder.nonce else None
    question = Question(certificate, responder.issuer, nonce)
    listed = known.trust.revocations.get(responder.issuer.fingerprint(SHA256()))
    try:
        answer = await client.ask(responder.url, question.der())
        word = judge(answer, question, listed, clock())
    except OcspError as error:
        return error.reason
    if word.revoked:  # whether or not that can be kept: nothing is released by it
        known.answers.learn(certificate, word)
    if keep is not None:  # before anything rests on it
        await keep(certificate, word, answer, clock())
    known.answers.learn(certificate, word)
    return "revoked" if word.revoked else "good"


async def asking(questions: Questions, seconds: float, log: OperationalLog) -> None:
    """Until cancelled. `seconds`: from the end of one round to the next, where nothing new is `due`."""
    while True:
        try:
            await questions.round()
        except Exception as error:  # noqa: BLE001 - a round that fails stops no exchange
            log.note("failed", trace=trace(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(questions.due.wait(), seconds)
        questions.due.clear()


def count_in(metrics: Metrics) -> Told:
    """Count what came of each question, by its issuer's name."""
    return lambda responder, outcome: metrics.asked(responder.issuer.subject.rfc4514_string(), outcome)
