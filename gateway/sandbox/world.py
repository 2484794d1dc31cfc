"""A running sandbox: the hub as a process of its own, every back office in a thread of this one.

Ports are free ones of the loopback interface, those of an earlier run in the same directory if they are. Leaving the context ends everything that entering it began;
what was written stays in the directory.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.adapters.log_key import ensure_log
from gateway.adapters.tls import server_context
from gateway.agreement.load import load_agreement
from gateway.agreement.terms import Agreement
from gateway.model import AuthorityId
from gateway.reading import contract_files
from gateway.sandbox.back_office import BackOffice, Surroundings
from gateway.sandbox.believed import Believed
from gateway.sandbox.client import Guise, Requester
from gateway.sandbox.files import read_files
from gateway.sandbox.hub import Hub, running_hub
from gateway.sandbox.loop import LoopThread, bound, free_port
from gateway.sandbox.place import (
    MAILBOXES,
    Place,
    Ports,
    authorities,
    claim,
    contracts_directory,
    earlier_ports,
    prepare,
)
from gateway.sandbox.records import Records
from gateway.wss.sign import SigningKey

if TYPE_CHECKING:
    from zeep.wsdl import Document


class World:
    """The sandbox. `place` and `offices` may be used between entering and leaving."""

    def __init__(
        self, directory: Path, contracts: Path | None = None, *, provider_seconds: float = 15.0
    ) -> None:
        """`provider_seconds`: how long the hub waits for a back office."""
        self._directory = directory
        self._contracts = contracts_directory(contracts)
        self._provider_seconds = provider_seconds
        self._requesters: dict[tuple[AuthorityId, bool], Requester] = {}
        self._served: dict[
            AuthorityId, Document
        ] = {}  # each authority's WSDL: reading one takes most of a second
        self._stack = ExitStack()
        self.hub: Hub
        self.place: Place
        self.agreement: Agreement
        self.records: Records
        self.offices: Mapping[AuthorityId, BackOffice]  # of the authorities with an endpoint

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(claim(self._directory))
            known = authorities(self._contracts).authorities
            names = [one.id for one in known if one.id not in MAILBOXES]
            before = earlier_ports(self._directory)
            sockets = {name: stack.enter_context(bound(before.offices.get(name, 0))) for name in names}
            offices = {name: int(one.getsockname()[1]) for name, one in sockets.items()}
            hub_port = free_port(before.hub)
            operations_port = free_port(before.operations, hub_port)
            ports = Ports(hub_port, operations_port, offices)
            self.place = prepare(
                self._directory,
                self._contracts,
                ports,
                datetime.now(UTC),
                provider_seconds=self._provider_seconds,
            )
            settings = self.place.settings
            ensure_log(
                settings.log.store, settings.keys.log_key, settings.log.origin, settings.log.bucket_keys
            )
            self.agreement = load_agreement(contract_files(self._contracts))
            self.records = Records(self.place)
            self.offices = self._back_offices()
            loop = stack.enter_context(LoopThread())
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
        served = self._served.get(authority.id)
        requester = Requester(self.place, authority, guise, soap12=soap12, contract=served)
        self._served[authority.id] = requester.contract
        self._stack.callback(requester.close)
        if guise is None:
            self._requesters[key] = requester
        return requester

    def _back_offices(self) -> Mapping[AuthorityId, BackOffice]:
        place = self.place
        around = Surroundings(
            register=place.register,
            contract=self.agreement.contract,
            certificates=Believed(place.settings).now,
            keys=lru_cache(lambda name: _signing_key(place, name)),
            status_of=self.records.status_of,
            told_by=self.records.told_by,
            log_keys=place.log_keys,
            clock=lambda: datetime.now(UTC),
        )
        served = (one for one in place.register.authorities if one.endpoint is not None)
        return {one.id: BackOffice(one, read_files(one.id), around) for one in served}

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


def _clean_up(loop: LoopThread, runner: web.AppRunner) -> None:
    loop.run(runner.cleanup())


def _signing_key(place: Place, name: AuthorityId) -> SigningKey:
    identity = place.identity(name)
    key = load_pem_private_key(identity.sign_key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    certificate = x509.load_pem_x509_certificate(identity.sign_certificate.read_bytes())
    return SigningKey(key, certificate.public_bytes(Encoding.DER))
