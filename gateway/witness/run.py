"""Settings → a running witness: composition, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TextIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.adapters.dumps import forbid_dumps
from gateway.adapters.pki import ExistsError, write_file
from gateway.adapters.secret_file import read_own_secret, read_secret
from gateway.adapters.tls import public_context
from gateway.config import ConfigError
from gateway.edge.connections import ConnectionLimits, Door, Watch
from gateway.edge.listener import Listener, nobody
from gateway.edge.operational_log import LibraryLines, OperationalLog, tell_uncaught
from gateway.exchangelog.cosignature import Cosigner
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.identity.issue import private_pem
from gateway.witness.service import WitnessService
from gateway.witness.settings import WitnessSettings, known_logs
from gateway.witness.store import WitnessStore, create

_BACKLOG: Final = 64
_FINISH_SECONDS: Final = 10.0
_LIMITS: Final = ConnectionLimits(
    in_all=128, of_an_address=32, of_an_authority=128, header_seconds=10.0, reply_seconds=10.0
)


class _Uncounted:
    """Connections of a witness are in no metric."""

    def connections(self, listener: str, count: int) -> None:
        """See `Metrics`."""

    def cut(self, listener: str, reason: str, count: int) -> None:
        """See `Metrics`."""


def begin(settings: WitnessSettings, *, ml_dsa: bool) -> Cosigner:
    """A new key and an empty memory, once. Raises `ProofError` (LOG709), OSError."""
    known_logs(settings)  # what is wrong with the settings is said before there is a key
    if settings.store.exists() or settings.key.exists():
        raise ProofError(Flaw.WITNESS_EXISTS, f"{settings.key}, {settings.store}")
    key = MLDSA44PrivateKey.generate() if ml_dsa else Ed25519PrivateKey.generate()
    cosigner = Cosigner.of(settings.name, key)
    # The memory first: a key without it could be used elsewhere, and then twice.
    create(settings.store, cosigner.public)
    try:
        settings.key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(settings.key, private_pem(key), private=True)
    except ExistsError as error:
        raise ProofError(Flaw.WITNESS_EXISTS, str(settings.key)) from error
    return cosigner


def load_cosigner(settings: WitnessSettings, *, own: bool) -> Cosigner:
    """The witness's key. Raises `ProofError` (LOG202, LOG509), ExposedError."""
    try:
        key = load_pem_private_key((read_own_secret if own else read_secret)(settings.key), None)
    except OSError as error:
        raise ProofError(Flaw.FILE, f"{settings.key}: {error.strerror}") from error
    except (ValueError, TypeError) as error:  # TypeError: it has a password
        raise ProofError(Flaw.KEY_FORM, str(settings.key)) from error
    if not isinstance(key, Ed25519PrivateKey | MLDSA44PrivateKey):
        raise ProofError(Flaw.KEY_FORM, f"{settings.key}: neither Ed25519 nor ML-DSA-44")
    return Cosigner.of(settings.name, key)


@asynccontextmanager
async def witness(settings: WitnessSettings, lines: TextIO) -> AsyncIterator[str]:
    """Run the witness; yields its URL. Raises ConfigError, `ProofError`, ExposedError, TlsError."""
    log, logs = OperationalLog(lines), known_logs(settings)
    cosigner = load_cosigner(settings, own=True)
    tls = _tls(settings.tls_certificate, settings.tls_key)
    store = WitnessStore.open(settings.store, cosigner.public)
    service = WitnessService(store, cosigner, logs, log, lambda: int(time.time()))
    try:
        watch = Watch(_Uncounted(), "witness")
        listener = Listener(
            service.handle,
            log,
            lambda refusal, error: log.refused_on_the_wire(refusal, error=error),
            owner=nobody,
            limits=_LIMITS,
            watch=watch,
        )
        door = Door(_bound(settings), listener.connection, tls, _LIMITS, watch)
        url = f"{'https' if tls else 'http'}://{settings.host}:{door.port}"
        log.note("serving", url=url, vkey=cosigner.public.vkey, logs=len(logs))
        try:
            yield url
        finally:
            door.close()
            await asyncio.sleep(0)
            listener.pre_shutdown()
            await listener.shutdown(_FINISH_SECONDS)
            log.note("stopping")
    finally:
        service.close()


async def serve(settings: WitnessSettings) -> None:
    """Until SIGTERM or SIGINT."""
    forbid_dumps()
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = OperationalLog(sys.stderr)
    logging.basicConfig(handlers=[LibraryLines(log)], level=logging.WARNING, force=True)
    tell_uncaught(log)
    async with witness(settings, sys.stderr):
        await stop.wait()


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    return None if certificate is None or key is None else public_context(certificate, key)


def _bound(settings: WitnessSettings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port), backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            "CFG013",
            f"{settings.host} port {settings.port}: cannot listen there.",
            "End what listens there, or correct host and port in the settings.",
        ) from error
