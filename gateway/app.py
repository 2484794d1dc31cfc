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
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from functools import lru_cache, partial
from threading import Thread
from typing import Final, TextIO

from gateway.adapters.metrics import Metrics
from gateway.adapters.ocsp import OcspClient
from gateway.adapters.spokes import HttpSpokes
from gateway.adapters.store import Store
from gateway.adapters.tls import client_context, server_context
from gateway.agreement.served import served_documents
from gateway.agreement.terms import Agreement
from gateway.assembly import Parts, broker_of, courier_of, dossiers_open, sweep_of
from gateway.broker.bell import Bell
from gateway.broker.reply import Signer
from gateway.broker.rules import Rules
from gateway.config import ConfigError, LimitSettings, Settings
from gateway.edge.cleaning import cleaning
from gateway.edge.listener import Listener
from gateway.edge.operational_log import LibraryLines, OperationalLog
from gateway.edge.operations import operations
from gateway.edge.responders import Questions, asking, count_in
from gateway.edge.soap import PATH, HttpLimits, SoapEdge
from gateway.edge.survey import survey
from gateway.identity.authority import recognise
from gateway.identity.chain import Trust, Usage
from gateway.loading import Loaded, clock, contract_files, load, secret_key, trust_files
from gateway.model import Authority, Role
from gateway.refusal import Code, Refusal

__all__ = ["Loaded", "clock", "contract_files", "hub", "load", "secret_key", "serve"]


_FINISH_SECONDS: Final = 35.0  # for what is under way; deploy/gateway.service gives a little more


@asynccontextmanager
async def hub(settings: Settings, loaded: Loaded, lines: TextIO) -> AsyncIterator[tuple[str, str]]:
    """Run the hub; yields the URLs of the SOAP and the operations listener. `lines`: the operational log."""
    metrics, log, rules = Metrics(), OperationalLog(lines), loaded.rules
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            Store.open(
                settings.log.store, loaded.log_key, settings.log.origin, payload_key=loaded.payload_key
            )
        )
        metrics.watch_log(lambda: store.size)
        rules.certificates.graced = lambda authority: metrics.graced(authority.id)
        await _ask_responders(stack, settings, loaded, metrics, log)
        spokes = HttpSpokes(
            _client_tls(settings, rules),
            seconds=settings.limits.provider_seconds,
            connections=settings.limits.provider_connections,
            max_bytes=settings.limits.answer_bytes,
            document_seconds=settings.limits.document_seconds,
            document_bytes=settings.limits.document_bytes,
        )
        stack.push_async_callback(spokes.close)
        await store.remember(rules.agreement.revision, rules.agreement.files)
        signer = Signer(loaded.signing, rules.register.hub, rules.terms.window)
        parts = Parts(
            rules,
            store,
            spokes,
            signer,
            Bell(),
            settings.delivery,
            sources=spokes,
            keeping=loaded.spool,
            shelf=loaded.shelf,
        )
        edge = SoapEdge(
            broker=broker_of(parts),
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
        keys = settings.keys
        tls = server_context(keys.tls_certificate, keys.tls_key, trust_files(settings), lists=False)
        inside = operations(metrics, lambda: None if store.ready else "the exchange log has failed: restart")
        host, seconds = settings.listen.host, settings.limits.header_seconds
        wire = partial(Listener, log=log, refused=edge.refused, header_seconds=seconds)
        soap = await _listen(stack, wire(edge.handle), (host, settings.listen.port), tls)
        ops = await _listen(stack, wire(inside), (host, settings.listen.operations_port), None)
        urls = f"https://{settings.listen.host}:{soap}{PATH}", f"http://{settings.listen.host}:{ops}"
        courier = courier_of(parts, metrics, log)
        stack.push_async_callback(courier.finish, _FINISH_SECONDS)
        counted = partial(dossiers_open, rules, settings.log.store)
        for name, work in (
            ("courier", courier.run()),
            ("survey", survey(counted, metrics, log)),
            ("cleaning", cleaning(partial(sweep_of, parts), log)),
        ):
            stack.callback(asyncio.create_task(work, name=name).cancel)
        log.note("serving", url=urls[0], operations=urls[1], agreement=rules.agreement.revision)
        yield urls
        log.note("stopping")


async def _ask_responders(
    stack: AsyncExitStack, settings: Settings, loaded: Loaded, metrics: Metrics, log: OperationalLog
) -> None:
    """Begin to ask, and wait a while for the first answers: nothing is known yet."""
    client = await stack.enter_async_context(OcspClient())
    questions = Questions(
        loaded.responders, lambda: loaded.rules.certificates, client, clock, count_in(metrics)
    )
    work = asking(questions, settings.trust.ocsp_seconds, log)
    stack.callback(asyncio.create_task(work, name="responders").cancel)
    await questions.first()


async def serve(settings: Settings, *, stop_with_stdin: bool = False) -> None:
    """Run until SIGTERM or SIGINT, or until standard input closes; finish what is under way.

    Raises StartError, ConfigError, ProofError.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if stop_with_stdin:
        Thread(target=_drain, args=(sys.stdin.fileno(), loop, stop), name="stdin", daemon=True).start()
    loaded = load(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    words = LibraryLines(OperationalLog(sys.stderr))  # nor do asyncio and the HTTP client quote a peer there
    logging.basicConfig(handlers=[words], level=logging.WARNING, force=True)
    async with hub(settings, loaded, sys.stderr):
        gc.freeze()  # the agreement and its views live as long as the process: no collection need look at them
        await stop.wait()


def _drain(descriptor: int, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Whoever started the hub holds the other end of the pipe: the kernel closes it, however they die."""
    with suppress(OSError, RuntimeError):  # RuntimeError: the loop has ended before
        while os.read(descriptor, 4096):
            pass
        loop.call_soon_threadsafe(stop.set)


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
    """Open a listener and return its port. Not through aiohttp's sites: they give a handshake a minute.

    Raises ConfigError when the address cannot be had.
    """
    try:
        bound = socket.create_server(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host
        number = (
            error.errno if isinstance(error, OSError) and not isinstance(error, socket.gaierror) else None
        )
        reason = os.strerror(number) if number else "no address of this machine"
        raise ConfigError(
            "CFG013",
            f"listen: {address[0]} port {address[1]}: {reason}.",
            "End what listens there, or correct listen.host and the port in the settings.",
        ) from error
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
        document_bytes=limits.document_bytes,
        document_seconds=limits.document_seconds,
        in_flight=limits.in_flight,
        in_flight_per_authority=limits.in_flight_per_authority,
    )


def _client_tls(settings: Settings, rules: Rules) -> ssl.SSLContext:
    def check(der: bytes, name: str) -> None:
        authority = recognise(der, Usage.TLS_SERVER, rules.certificates, rules.register, clock())
        if authority.tls_name != name:
            raise Refusal(Code.PROVIDER_IDENTITY, "TLS")

    return client_context(settings.keys.tls_certificate, settings.keys.tls_key, trust_files(settings), check)
