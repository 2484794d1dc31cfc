"""Reload: what changed in the files while the hub runs is put in force, all of it or nothing.

The agreement; and, as another whole, who takes part and by which certificates: the rules, the TLS of new connections in both directions, to witnesses, too, and the metrics that speak of them. What is under way
goes on by the rules that it began with. Whatever is wrong with the files, the last good state stays in force.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from gateway.adapters.metrics import Metrics
from gateway.adapters.spokes import HttpSpokes
from gateway.adapters.store import Store
from gateway.adapters.tls import PeerCheck, client_context, outward_context, server_context
from gateway.agreed import renewed
from gateway.broker.event import trace
from gateway.broker.rules import RulesInForce
from gateway.config import ConfigError, Settings
from gateway.edge.connections import Door
from gateway.edge.feeding import Feeder
from gateway.edge.operational_log import OperationalLog
from gateway.edge.responders import Questions
from gateway.exchangelog import own_entry
from gateway.identity.chain import Usage
from gateway.identity.trust import Trust
from gateway.loading import Loaded, clock, digest_of, reload
from gateway.own import announced_now
from gateway.reading import FORESEEN, in_words
from gateway.refusal import Code, Refusal
from gateway.trusted import revocation_lists, trust_files

_KEEP_SECONDS: Final = (
    30.0  # for the store to keep a revision; while it hangs there is no exchange to judge by it
)
_READ_SECONDS: Final = 60.0  # for one look at the files; a token signs within ten


class Reload:
    """Looks at the files. Owns what was loaded, and alone replaces the rules in force."""

    def __init__(  # noqa: PLR0913 - the composition root passes each collaborator by name
        self,
        settings: Settings,
        loaded: Loaded,
        *,
        in_force: RulesInForce,
        store: Store,
        door: Door,
        spokes: HttpSpokes,
        feeder: Feeder | None,
        questions: Questions,
        metrics: Metrics,
        log: OperationalLog,
        tell: Callable[[], None],
    ) -> None:
        """`feeder`: None without witnesses. `tell`: has the other processes of the hub look, too."""
        self._settings = settings
        self._loaded = loaded
        self._in_force = in_force
        self._store = store
        self._door = door
        self._spokes = spokes
        self._feeder = feeder
        self._questions = questions
        self._metrics = metrics
        self._log = log
        self._tell = tell
        self._recording: asyncio.Task[None] | None = None  # held, so that it is not collected

    async def run(self, told: asyncio.Event) -> None:
        """Look from time to time, and whenever `told`; until cancelled."""
        show(self._metrics, self._loaded)
        self._metrics.reloaded(good=True)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.trust.refresh_seconds):
                    await told.wait()
            told.clear()
            await self.look()

    async def look(self) -> None:
        """Put in force what changed. What is wrong is told, and looked at again the next time.

        The agreement by itself: one that is not in order, or whose day has not come, holds up no suspension.
        """
        # Others first: a certificate that was revoked in the same moment adopts nothing any more.
        in_order = [await self._is_in_order(part) for part in (self._look_at_others, self._look_at_agreement)]
        if all(in_order):
            self._metrics.reloaded(good=True)

    async def _is_in_order(self, part: Callable[[], Awaitable[None]]) -> bool:
        """Look at a part of the files; whether it is in force now."""
        try:
            await part()
        except FORESEEN as error:
            findings = list(in_words(error))
            self._failed(code=findings[0][:6], findings=" ".join(findings))
        except Refusal as refusal:  # the exchange log is busy, or has failed
            self._failed(code=refusal.code.row.code)
        except Exception as error:  # noqa: BLE001 - the look outlives a bug; what is in force stays so
            self._failed(trace=trace(error))
        else:
            return True
        return False

    async def _look_at_agreement(self) -> None:
        rules = self._loaded.rules
        judges = rules.certificates, rules.register.hub.enterprise
        agreement = await asyncio.to_thread(
            renewed, self._settings.contracts, self._settings.log.store, rules.agreement, *judges
        )
        if agreement is rules.agreement:
            return
        # First in the store: what is accepted under it is delivered by it, whatever is in force then.
        try:
            async with asyncio.timeout(_KEEP_SECONDS):
                await self._store.remember(agreement.revision, agreement.files)
        except TimeoutError as error:
            raise Refusal(Code.LOG_UNAVAILABLE) from error
        self._put_in_force(replace(self._loaded, rules=replace(rules, agreement=agreement)))
        self._log.note("reloaded", agreement=agreement.revision, number=agreement.number)

    async def _look_at_others(self) -> None:
        if await asyncio.to_thread(digest_of, self._settings) != self._loaded.digest:
            await self._replace(*await self._read_in_time())
        else:
            self._announce(await asyncio.to_thread(self._announced))

    def _put_in_force(self, loaded: Loaded) -> None:
        """At one moment, and have the other processes of the hub look, too."""
        self._loaded, self._in_force.rules = loaded, loaded.rules
        show(self._metrics, loaded)
        self._tell()

    async def _read_in_time(self) -> tuple[Loaded, Contexts]:
        """As `_read`; ConfigError when something does not answer. Its thread is left behind: nothing can end it."""
        try:
            async with asyncio.timeout(_READ_SECONDS):
                return await asyncio.to_thread(self._read)
        except TimeoutError as error:
            sentence = f"The files, and keys in a token, are not read within {_READ_SECONDS:g} s."
            remedy = "Look after the token, or the disk; they are read again at the next look."
            raise ConfigError("CFG035", sentence, remedy) from error

    def _read(self) -> tuple[Loaded, Contexts]:
        """In a thread of its own. Raises as `loading.reload`; ConfigError when a file changes meanwhile."""
        settings = self._settings
        loaded = reload(settings, self._loaded)
        contexts = contexts_of(settings, self._in_force)
        if digest_of(settings) != loaded.digest:  # OpenSSL may have read other files than we judged
            raise ConfigError("CFG025", "The files change while they are read.", "They are read again.")
        return loaded, contexts

    def _announced(self) -> bytes:
        """In a thread of its own; as before when a file changes meanwhile. Raises ConfigError."""
        rules, settings = self._loaded.rules, self._settings
        known = rules.certificates, rules.register, self._loaded.responders
        announced = announced_now(settings.keys, rules.signer.keys, *known)
        return announced if digest_of(settings) == self._loaded.digest else rules.announced

    def _announce(self, announced: bytes) -> None:
        """Judged at each look: the time of a successor comes, or ends, while no file changes."""
        if announced != self._loaded.rules.announced:
            rules = replace(self._loaded.rules, announced=announced)
            self._loaded, self._in_force.rules = replace(self._loaded, rules=rules), rules

    async def _replace(self, loaded: Loaded, contexts: Contexts) -> None:
        # A log key in a token stays, whether or not that answers now.
        if loaded.log_keys is not self._loaded.log_keys:
            await sign_log(self._store, loaded)  # alone may fail: then nothing has changed
        # Handed to the log first: no entry that rests on it comes before it. It is not waited for, since a log that
        # hangs must hold up no suspension; and while it hangs there is no exchange.
        self._recording = asyncio.create_task(self._record(loaded.rules.certificates.trust))
        await asyncio.sleep(0)  # it has begun: it is in the queue of the log
        self._door.tls = contexts.callers
        if self._feeder is not None:
            self._feeder.renew(contexts.witnesses)
        self._put_in_force(loaded)
        self._questions.responders = loaded.responders
        self._questions.due.set()
        await self._spokes.renew(contexts.providers)
        authorities = loaded.rules.register.authorities
        suspended = sum(not one.active for one in authorities)
        self._log.note("reloaded", authorities=len(authorities), suspended=suspended)

    async def _record(self, trust: Trust) -> None:
        """What is believed from now on, for those who judge signatures later."""
        try:
            await self._store.believe(trust, clock())
        except Refusal as refusal:
            self._failed(code=refusal.code.row.code)

    def _failed(self, **facts: str) -> None:
        self._metrics.reloaded(good=False)
        self._log.note("not reloaded", **facts)


async def sign_log(store: Store, loaded: Loaded) -> None:
    """Every key of the settings signs the log from now on; a new one is announced in it first, under the old one.

    Raises `Refusal`, and `ProofError` as `Store.sign_with`.
    """
    hub = str(loaded.rules.register.hub.enterprise)
    for vkey in await store.unannounced(loaded.log_keys):
        await store.append(own_entry.rotated(vkey, hub, clock(), os.urandom))
    await store.sign_with(loaded.log_keys)


def show(metrics: Metrics, loaded: Loaded) -> None:
    """State what is in force."""
    rules = loaded.rules
    lists = revocation_lists(rules.certificates.trust)
    metrics.configured(loaded.certificates, lists, rules.agreement.number)
    metrics.expect(one.id for one in rules.register.authorities)


@dataclass(frozen=True, slots=True)
class Contexts:
    """TLS of a hub, as its files are at one moment."""

    callers: ssl.SSLContext
    providers: ssl.SSLContext
    witnesses: ssl.SSLContext


def contexts_of(settings: Settings, in_force: RulesInForce) -> Contexts:
    """Witnesses within the PKI of the authorities are shown the hub's certificate; others are judged by their own.

    Raises TlsError.
    """
    own = settings.keys.tls_certificate, settings.keys.tls_key, trust_files(settings)
    anchors = settings.witnesses.anchors
    return Contexts(
        server_context(*own, lists=False),
        client_context(*own, peer_check(in_force)),
        outward_context(anchors) if anchors else client_context(*own),
    )


def peer_check(in_force: RulesInForce) -> PeerCheck:
    """Whether a certificate is, by the rules of that moment, the one of the provider with this name."""

    def check(der: bytes, name: str) -> None:
        if in_force.rules.recognise(der, Usage.TLS_SERVER, clock()).tls_name != name:
            raise Refusal(Code.PROVIDER_IDENTITY, "TLS")

    return check
