"""A running sandbox: the hub as a process of its own, every back office in a thread of this one.

Ports are free ones of the loopback interface, those of an earlier run in the same directory if they are. Leaving the context ends everything that entering it began;
what was written stays in the directory.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.adapters.log_key import ensure_log
from gateway.adapters.store_directory import Directory
from gateway.adapters.tls import server_context
from gateway.agreement.load import load_agreement
from gateway.agreement.terms import Agreement
from gateway.app import contract_files, directory_key
from gateway.config import ConfigError
from gateway.identity.chain import Certificates, Trust
from gateway.model import AuthorityId, DossierNumber, DossierScope, Inscription, Role
from gateway.policy.person import person_digest
from gateway.sandbox.back_office import BackOffice, Surroundings
from gateway.sandbox.client import Guise, Requester
from gateway.sandbox.files import STATES, read_files
from gateway.sandbox.hub import Hub, running_hub
from gateway.sandbox.place import (
    Place,
    Ports,
    authorities,
    claim,
    contracts_directory,
    earlier_ports,
    prepare,
)
from gateway.wss.sign import SigningKey

T = TypeVar("T")
_HUB_PORTS: Final = range(20_000, 32_000)
_LONG_AGO: Final = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """The sandbox. `place` and `offices` may be used between entering and leaving."""

    def __init__(
        self, directory: Path, contracts: Path | None = None, *, provider_seconds: float = 15.0
    ) -> None:
        """`provider_seconds`: how long the hub waits for a back office."""
        self._directory = directory
        self._contracts = contracts_directory(contracts)
        self._provider_seconds = provider_seconds
        self._statuses: dict[DossierNumber, str] = {}
        self._requesters: dict[tuple[AuthorityId, bool], Requester] = {}
        self._stack = ExitStack()
        self.hub: Hub
        self.place: Place
        self.agreement: Agreement
        self.offices: Mapping[AuthorityId, BackOffice]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(claim(self._directory))
            names = [one.id for one in authorities(self._contracts).authorities]
            before = earlier_ports(self._directory)
            sockets = {name: stack.enter_context(_bound(before.offices.get(name, 0))) for name in names}
            offices = {name: int(one.getsockname()[1]) for name, one in sockets.items()}
            hub_port = _free_port(before.hub)
            operations_port = _free_port(before.operations, hub_port)
            ports = Ports(hub_port, operations_port, offices)
            self.place = prepare(
                self._directory,
                self._contracts,
                ports,
                datetime.now(UTC),
                provider_seconds=self._provider_seconds,
            )
            settings = self.place.settings
            ensure_log(settings.log.store, settings.keys.log_key, settings.log.origin)
            self.agreement = load_agreement(contract_files(self._contracts))
            self.offices = self._back_offices()
            loop = stack.enter_context(_LoopThread())
            for name, office in self.offices.items():
                runner = loop.run(self._listen(office, sockets[name]))
                stack.callback(_clean_up, loop, runner)
            self.hub = stack.enter_context(running_hub(self.place))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def urls(self) -> Mapping[str, str]:
        """Of the hub's two listeners."""
        return self.hub.urls

    def requester(self, name: str, guise: Guise | None = None, *, soap12: bool = False) -> Requester:
        """The client of an authority, kept when it is an honest one."""
        authority = self.place.authority(name)
        key = (authority.id, soap12)
        if guise is None and key in self._requesters:
            return self._requesters[key]
        requester = Requester(self.place, authority, guise, soap12=soap12)
        self._stack.callback(requester.close)
        if guise is None:
            self._requesters[key] = requester
        return requester

    def open_dossier(self, number: DossierNumber, procedure: str, ssin: str, inscribed: list[str]) -> None:
        """Enter a dossier in the directory, as the administrative command would; `ssin`: the worker's."""
        person = person_digest(directory_key(self.place.settings.keys.directory_key), ssin)
        lines = [self._inscription(name, _LONG_AGO) for name in inscribed]
        scope = DossierScope(number, "SINGLE_PERMIT", procedure, STATES[0], _LONG_AGO, tuple(lines), person)
        self._put(scope)

    def move(self, number: DossierNumber, status: str, inscribed: list[str]) -> None:
        """Give a dossier a new status, and inscribe further authorities."""
        with closing(Directory.open(self.place.settings.log.store, writes=False)) as directory:
            scope = directory.get(number)
        assert scope is not None
        lines = [self._inscription(name, _LONG_AGO) for name in inscribed]
        self._put(replace(scope, status=status, inscriptions=(*scope.inscriptions, *lines)))

    def dossier(self, number: DossierNumber) -> dict[str, str]:
        """What the directory says of a dossier: no content."""
        with closing(Directory.open(self.place.settings.log.store, writes=False)) as directory:
            scope = directory.get(number)
        assert scope is not None
        return {"permit_type": scope.permit_type, "procedure": scope.procedure, "status": scope.status}

    def _put(self, scope: DossierScope) -> None:
        with closing(Directory.open(self.place.settings.log.store, writes=True)) as directory:
            directory.put(scope)
        self._statuses[scope.dossier] = scope.status

    def _inscription(self, name: str, since: datetime) -> Inscription:
        authority = self.place.authority(name)
        assert authority.role is not None
        return Inscription(authority.id, Role(authority.role), since, None)

    def _back_offices(self) -> Mapping[AuthorityId, BackOffice]:
        place, trust = self.place, self.place.settings.trust
        pem = [
            [path.read_bytes() for path in paths]
            for paths in (trust.anchors, trust.intermediates, trust.crls)
        ]
        around = Surroundings(
            register=place.register,
            contract=self.agreement.contract,
            certificates=Certificates(Trust.load(*pem)),
            keys=lru_cache(lambda name: _signing_key(place, name)),
            status_of=lambda number: self._statuses.get(number, STATES[0]),
            clock=lambda: datetime.now(UTC),
        )
        return {one.id: BackOffice(one, read_files(one.id), around) for one in place.register.authorities}

    async def _listen(self, office: BackOffice, bound: socket.socket) -> web.AppRunner:
        identity, trust = self.place.identity(office.authority.id), self.place.settings.trust
        tls = server_context(
            identity.tls_certificate, identity.tls_key, [*trust.anchors, *trust.intermediates, *trust.crls]
        )
        runner = web.AppRunner(
            office.application(), access_log=None, handle_signals=False, shutdown_timeout=0.1
        )
        await runner.setup()
        await web.SockSite(runner, bound, ssl_context=tls).start()
        return runner


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="back-offices", daemon=True)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    """End what is still under way, such as the sleep of a slow provider."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _clean_up(loop: _LoopThread, runner: web.AppRunner) -> None:
    loop.run(runner.cleanup())


def _bound(port: int) -> socket.socket:
    """A listening socket of the loopback interface: at this port if it is free."""
    with suppress(OSError):
        return socket.create_server(("127.0.0.1", port))
    return socket.create_server(("127.0.0.1", 0))


def _free_port(wanted: int, taken: int = 0) -> int:
    """One that the hub will open itself, since what it serves tells its URL: the wanted one if it is free.

    Else not from the range that the kernel gives to outgoing connections: one of those could take a port
    between this look and the hub's start.
    """
    for port in (wanted, *random.sample(_HUB_PORTS, 100)):
        if port not in {0, taken}:
            with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port
    raise ConfigError("SBX012", "No free port between 20000 and 32000.", "End what listens there.")


def _signing_key(place: Place, name: AuthorityId) -> SigningKey:
    identity = place.identity(name)
    key = load_pem_private_key(identity.sign_key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    certificate = x509.load_pem_x509_certificate(identity.sign_certificate.read_bytes())
    return SigningKey(key, certificate.public_bytes(Encoding.DER))
