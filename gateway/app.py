"""Composition root: settings → a running hub. The only module that knows every other."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, TextIO

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.adapters.metrics import Metrics
from gateway.adapters.spokes import HttpSpokes
from gateway.adapters.store import Store
from gateway.adapters.tls import client_context, server_context
from gateway.agreement.admit import Terms
from gateway.agreement.load import Agreement, load_agreement
from gateway.agreement.register import Register, load_register
from gateway.agreement.served import served_documents
from gateway.broker.consult import Broker, Rules
from gateway.broker.reply import Signer
from gateway.config import ConfigError, LimitSettings, Settings
from gateway.edge.listener import Listener
from gateway.edge.operational_log import LibraryLines, OperationalLog
from gateway.edge.operations import operations
from gateway.edge.soap import PATH, HttpLimits, SoapEdge
from gateway.identity.authority import recognise
from gateway.identity.chain import Certificates, Trust, Usage
from gateway.model import Authority, Role
from gateway.policy.person import parse_key
from gateway.refusal import Code, Refusal
from gateway.soap.xml import Limits
from gateway.wss.profile import Window
from gateway.wss.sign import SigningKey

_FINISH_SECONDS: Final = 35.0  # for what is under way; deploy/gateway.service gives a little more


def clock() -> datetime:
    """The one clock: UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that was read from files and found consistent, before anything is opened."""

    rules: Rules
    signing: Mapping[str, SigningKey]
    log_key: ed25519.Ed25519PrivateKey
    certificates: Mapping[str, datetime]  # of the hub itself: name → end of validity


def load(settings: Settings) -> Loaded:
    """Read and cross-check all files that the settings name.

    Raises ConfigError, AgreementError, ContractError or RegisterError, each naming file and path.
    """
    register = load_register(_bytes(settings.contracts.register), str(settings.contracts.register))
    agreement = load_agreement(contract_files(settings.contracts.directory))
    certificates = Certificates(
        Trust.load(*([_bytes(path) for path in paths] for paths in _trust_paths(settings)))
    )
    signing = {
        "rsa-sha256": _signing_key(settings.keys.sign_rsa_certificate, settings.keys.sign_rsa_key),
        "ecdsa-sha256": _signing_key(settings.keys.sign_ec_certificate, settings.keys.sign_ec_key),
    }
    own = {"tls": _certificate(settings.keys.tls_certificate)} | {
        suite: key.certificate for suite, key in signing.items()
    }
    _require_hub(own, certificates, register)
    log_key = load_pem_private_key(_private(settings.keys.log_key), None)
    if not isinstance(log_key, ed25519.Ed25519PrivateKey):
        raise ConfigError(
            "CFG004", f"{settings.keys.log_key}: not an Ed25519 key.", "Make one with gateway pki init."
        )
    rules = Rules(
        agreement=agreement,
        register=register,
        certificates=certificates,
        limits=Limits(bytes=max(settings.limits.request_bytes, settings.limits.answer_bytes)),
        terms=Terms(settings.listen.public_url, Window(), settings.test_numbers),
        directory_key=directory_key(settings.keys.directory_key),
    )
    expiry = {name: x509.load_der_x509_certificate(der).not_valid_after_utc for name, der in own.items()}
    return Loaded(rules, signing, log_key, expiry)


def directory_key(path: Path) -> bytes:
    """The key of the dossier directory's digests. Raises ConfigError."""
    try:
        return parse_key(_private(path))
    except ValueError as error:
        raise ConfigError(
            "CFG011", f"{path}: {error}.", "Make one with gateway pki init, or: openssl rand -hex 32"
        ) from error


def contract_files(directory: Path) -> Mapping[str, bytes]:
    """The files of the protocol agreement by their path below `directory`'s parent."""
    wanted = ("agreement.toml", "xsd/*.xsd", "wsdl/*.wsdl")
    found = [path for pattern in wanted for path in sorted(directory.glob(pattern))]
    return {f"contracts/{path.relative_to(directory).as_posix()}": _bytes(path) for path in found}


@asynccontextmanager
async def hub(settings: Settings, loaded: Loaded, lines: TextIO) -> AsyncIterator[tuple[str, str]]:
    """Run the hub; yields the URLs of the SOAP and the operations listener. `lines`: the operational log."""
    metrics, log, rules = Metrics(), OperationalLog(lines), loaded.rules
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            Store.open(settings.log.store, loaded.log_key, settings.log.origin)
        )
        metrics.watch_log(lambda: store.size)
        spokes = HttpSpokes(
            _client_tls(settings, rules),
            seconds=settings.limits.provider_seconds,
            connections=settings.limits.provider_connections,
            max_bytes=settings.limits.answer_bytes,
        )
        stack.push_async_callback(spokes.close)
        broker = Broker(
            rules=rules,
            log=store,
            directory=store,
            spokes=spokes,
            signer=Signer(loaded.signing, rules.register.hub, rules.terms.window),
            clock=clock,
            random=os.urandom,
        )
        edge = SoapEdge(
            broker=broker,
            recognise=lambda der, now: recognise(
                der, Usage.TLS_CLIENT, rules.certificates, rules.register, now
            ),
            served=served_for(rules.agreement, settings.listen.public_url),
            metrics=metrics,
            log=log,
            limits=_http_limits(settings.limits),
            clock=clock,
        )
        metrics.configured(
            loaded.certificates, revocation_ends(rules.certificates.trust), rules.agreement.number
        )
        tls = server_context(settings.keys.tls_certificate, settings.keys.tls_key, _flat_trust(settings))
        inside = operations(metrics, lambda: None if store.ready else "the exchange log has failed: restart")
        host, seconds = settings.listen.host, settings.limits.header_seconds
        wire = partial(Listener, log=log, refused=edge.refused, header_seconds=seconds)
        soap = await _listen(stack, wire(edge.handle), (host, settings.listen.port), tls)
        ops = await _listen(stack, wire(inside), (host, settings.listen.operations_port), None)
        urls = f"https://{settings.listen.host}:{soap}{PATH}", f"http://{settings.listen.host}:{ops}"
        log.note("serving", url=urls[0], operations=urls[1], agreement=rules.agreement.revision)
        yield urls
        log.note("stopping")


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; finish what is under way."""
    loaded = load(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    words = LibraryLines(OperationalLog(sys.stderr))  # nor do asyncio and the HTTP client quote a peer there
    logging.basicConfig(handlers=[words], level=logging.WARNING, force=True)
    async with hub(settings, loaded, sys.stderr):
        gc.freeze()  # the agreement and its views live as long as the process: no collection need look at them
        await stop.wait()


def revocation_ends(trust: Trust) -> Mapping[str, datetime]:
    """The nextUpdate of each revocation list, by the name of its issuer."""
    return {one.crl.issuer.rfc4514_string(): one.next_update for one in trust.revocations.values()}


def served_for(agreement: Agreement, public_url: str) -> Callable[[Authority], Mapping[str, bytes]]:
    """The contract documents of each authority's role, made once."""

    @lru_cache(maxsize=16)
    def by_role(role: Role) -> Mapping[str, bytes]:
        return served_documents(agreement, role, public_url)

    return lambda authority: by_role(authority.role) if authority.role is not None else {}


async def _listen(
    stack: AsyncExitStack, listener: Listener, address: tuple[str, int], tls: ssl.SSLContext | None
) -> int:
    """Open a listener and return its port. Not through aiohttp's sites: they give a handshake a minute."""
    bound = socket.create_server(address)
    seconds = listener.header_seconds if tls else None
    server = await asyncio.get_running_loop().create_server(
        listener,
        sock=bound,
        backlog=512,
        ssl=tls,
        ssl_handshake_timeout=seconds,
        ssl_shutdown_timeout=seconds,
    )
    stack.push_async_callback(_finish, server, listener)
    return int(bound.getsockname()[1])


async def _finish(server: asyncio.Server, listener: Listener) -> None:
    """Take no new connection, close the idle ones, let what is under way end."""
    server.close()
    await asyncio.sleep(0)  # what was accepted this moment gets its protocol
    listener.pre_shutdown()
    await listener.shutdown(_FINISH_SECONDS)


def _http_limits(limits: LimitSettings) -> HttpLimits:
    return HttpLimits(
        body_bytes=limits.request_bytes,
        body_seconds=limits.body_seconds,
        in_flight=limits.in_flight,
        in_flight_per_authority=limits.in_flight_per_authority,
    )


def _client_tls(settings: Settings, rules: Rules) -> ssl.SSLContext:
    def check(der: bytes, name: str) -> None:
        authority = recognise(der, Usage.TLS_SERVER, rules.certificates, rules.register, clock())
        if authority.tls_name != name:
            raise Refusal(Code.PROVIDER_IDENTITY, "TLS")

    return client_context(settings.keys.tls_certificate, settings.keys.tls_key, _flat_trust(settings), check)


def _require_hub(own: Mapping[str, bytes], certificates: Certificates, register: Register) -> None:
    """The hub's own certificates are judged like anybody's, so that a wrong one stops the start."""
    for name, der in own.items():
        usages = (Usage.TLS_SERVER, Usage.TLS_CLIENT) if name == "tls" else (Usage.SIGNING,)
        for usage in usages:
            try:
                enterprise = certificates.validate(der, usage, clock()).enterprise
            except Refusal as refusal:
                raise ConfigError(
                    "CFG005",
                    f"keys: the {name} certificate of the hub is not accepted: {refusal}.",
                    "Renew it with gateway pki.",
                ) from refusal
            if enterprise != register.hub.enterprise:
                raise ConfigError(
                    "CFG006",
                    f"keys: the {name} certificate names {enterprise}, the register's hub is {register.hub.enterprise}.",
                    "Use the hub's certificate.",
                )


def _trust_paths(settings: Settings) -> tuple[list[Path], list[Path], list[Path]]:
    return settings.trust.anchors, settings.trust.intermediates, settings.trust.crls


def _flat_trust(settings: Settings) -> list[Path]:
    return [path for paths in _trust_paths(settings) for path in paths]


def _signing_key(certificate: Path, key: Path) -> SigningKey:
    private = load_pem_private_key(_private(key), None)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigError("CFG004", f"{key}: neither RSA nor ECDSA.", "Make one with gateway pki.")
    der = _certificate(certificate)
    if x509.load_der_x509_certificate(der).public_key() != private.public_key():
        raise ConfigError(
            "CFG007", f"{certificate}: does not belong to {key}.", "Name the two files of one pair."
        )
    return SigningKey(private, der)


def _certificate(path: Path) -> bytes:
    try:
        return x509.load_pem_x509_certificate(_bytes(path)).public_bytes(Encoding.DER)
    except ValueError as error:
        raise ConfigError("CFG008", f"{path}: not a PEM certificate.", "Name a PEM file.") from error


def _private(path: Path) -> bytes:
    data = _bytes(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError("CFG009", f"{path}: others than the owner may read it.", f"chmod 600 {path}")
    return data


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            "CFG003", f"{path}: {error.strerror}.", "Correct the path in the settings."
        ) from error
