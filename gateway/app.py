"""Composition root: settings → a running hub. The only module that knows every other."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from time import monotonic
from typing import Final, TextIO, TypeAlias

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.destinations import Destinations
from gateway.adapters.metrics import Metrics
from gateway.adapters.ocsp import OcspClient
from gateway.adapters.secret_file import read_own_secret
from gateway.adapters.shared_moments import SharedMoments
from gateway.adapters.spokes import HttpSpokes
from gateway.adapters.store import Store
from gateway.adapters.store_reader import LogReader
from gateway.adapters.witness_client import WitnessClient
from gateway.agreement.served import served_documents
from gateway.agreement.terms import Agreement
from gateway.assembly import Parts, broker_of, courier_of, dossiers_open, sweep_of
from gateway.broker.bell import Bell
from gateway.broker.rules import RulesInForce
from gateway.config import LimitSettings, Listen, Settings
from gateway.edge.admission import Admission, AdmissionLimits
from gateway.edge.cleaning import cleaning
from gateway.edge.connections import ConnectionLimits, Door, Watch
from gateway.edge.feeding import Feeder, Patience
from gateway.edge.fellows import Fellows, once_leading
from gateway.edge.incoming import HttpLimits
from gateway.edge.listener import Listener, nobody
from gateway.edge.log_site import LogSite
from gateway.edge.operational_log import OperationalLog
from gateway.edge.operations import operations
from gateway.edge.pinning import Pinning
from gateway.edge.pulse import pulse, watch
from gateway.edge.responders import Questions, asking, count_in
from gateway.edge.soap import ServedContract, SoapEdge
from gateway.edge.survey import survey
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.loading import Loaded, clock, pinned
from gateway.model import PATH, Role
from gateway.readiness import Readiness
from gateway.refusal import Refusal
from gateway.reload import Reload, contexts_of, peer_check, sign_log
from gateway.sockets import bind

_FINISH_SECONDS: Final = 35.0  # for what is under way; deploy/gateway.service gives a little more
UnderWay: TypeAlias = list[Callable[[], Awaitable[None]]]  # how each kind of it ends


@asynccontextmanager
async def hub(  # noqa: PLR0913, PLR0917 - settings, what is loaded, and who is heard and told meanwhile
    settings: Settings,
    loaded: Loaded,
    lines: TextIO,
    told: asyncio.Event | None = None,
    shared: Shared | None = None,
    hurry: asyncio.Event | None = None,
    give_up: Callable[[], None] = lambda: None,
) -> AsyncIterator[tuple[str, str]]:
    """Run the hub; yields the URLs of the SOAP and the operations listener. `lines`: the operational log.

    `told`: set to have the files looked at now. `shared`: what this process has from its supervisor; None for
    the only process of a hub. `hurry`: set to end the draining that the end begins with. `give_up`: called when only another
    process can go on with the log.
    """
    fellows = shared.fellows if shared else Fellows()
    metrics, log = Metrics(fellows.number), OperationalLog(lines, worker=fellows.worker)
    agreement = loaded.rules.agreement
    async with AsyncExitStack() as stack:
        loaded = _signing_beside(stack, loaded)
        in_force = RulesInForce(loaded.rules)
        store = await stack.enter_async_context(
            Store.open(
                settings.log.store,
                loaded.log_keys[0],
                settings.log.origin,
                payload_key=loaded.payload_key,
                bucket_keys=BucketKeys.open(settings.log.bucket_keys, read_own_secret),
                also=loaded.log_keys[1:],
                pinned=pinned(settings, loaded),
                former=settings.log.former,
                beside=loaded.beside,
            )
        )
        contexts = contexts_of(settings, in_force)
        # Witnesses first: a store that was put back signs nothing before they are asked.
        feeder = await _feeding(stack, settings, loaded, store, contexts.witnesses, metrics, log, fellows)
        with _recorded(store):
            await sign_log(store, loaded)  # each, before an older one goes, though no exchange came by
        _pin(stack, settings, store, metrics, log, fellows)
        loaded.rules.certificates.graced = lambda authority: metrics.graced(authority.id)
        questions = await _ask_responders(stack, settings, loaded, in_force, metrics, log, store)
        spokes = _spokes(settings, contexts.providers, in_force)
        stack.push_async_callback(spokes.close)
        await _remember(store, loaded)
        bell = Bell(fellows.ring)
        fellows.rung = bell.rung
        parts = Parts(
            in_force,
            store,
            spokes,
            bell,
            settings.delivery,
            sources=spokes,
            keeping=loaded.spool,
            shelf=loaded.shelf,
        )
        site = LogSite(settings.log.store, frozenset(settings.log.readers), metrics, log)
        stack.callback(site.close)
        edge = SoapEdge(
            broker=broker_of(parts),
            in_force=in_force,
            served=served_for(settings.listen.public_url),
            site=site,
            metrics=metrics,
            log=log,
            limits=_http_limits(settings.limits),
            admission=Admission(
                _admission_limits(settings.limits), metrics, monotonic, shared.quotas if shared else None
            ),
            clock=clock,
        )
        host, limits = settings.listen.host, _connection_limits(settings.limits)
        wire = partial(Listener, log=log, refused=edge.refused, limits=limits)
        outside = wire(edge.handle, owner=edge.owner, watch=Watch(metrics, "soap"))
        readiness = Readiness(store, log, feeder, outside, fellows)
        inside = operations(partial(readiness.exposition, metrics), readiness.trouble_of_all)
        within = wire(inside, owner=nobody, watch=Watch(metrics, "operations"))
        bound, ops = (shared.soap, shared.operations) if shared else _bound(settings.listen)
        urls = f"https://{host}:{bound.getsockname()[1]}{PATH}", f"http://{host}:{ops.getsockname()[1]}"
        courier = courier_of(parts, metrics, log, fellows.leads.is_set)
        under_way: UnderWay = [partial(courier.finish, _FINISH_SECONDS)]
        stack.push_async_callback(_finish, under_way)
        soap = _listen(under_way, outside, bound, contexts.callers)
        reload = Reload(
            settings,
            loaded,
            in_force=in_force,
            store=store,
            door=soap,
            spokes=spokes,
            feeder=feeder,
            questions=questions,
            metrics=metrics,
            log=log,
            tell=fellows.look,
        )

        async def answer_operations() -> None:
            _listen(under_way, within, ops, None)

        counted = partial(dossiers_open, in_force, settings.log.store)
        due = partial(_due, in_force, store)
        of_all: Mapping[str, Callable[[], Awaitable[None]]] = {  # what one worker does for all
            "operations": answer_operations,
            "survey": partial(survey, counted, due, metrics, log),
            "cleaning": partial(cleaning, partial(sweep_of, parts), log),
        }
        for name, work in (
            (
                "pulse",
                pulse(fellows, readiness.trouble, partial(readiness.end_if_failed, give_up), metrics, log),
            ),
            ("watch", watch(store.watch, log)),
            ("courier", courier.run()),
            ("reload", reload.run(told or asyncio.Event())),
            *((name, once_leading(fellows, one)) for name, one in of_all.items()),
        ):
            stack.callback(asyncio.create_task(work, name=name).cancel)
        fellows.ready(*urls, agreement.revision)
        if not fellows.several:  # of several the supervisor says it, once all serve
            log.note("serving", url=urls[0], operations=urls[1], agreement=agreement.revision)
        yield urls
        await _drain(outside, settings.listen.drain_seconds, hurry or asyncio.Event(), log)
        log.catch_up(ending=True)
        log.note("stopping")


@contextmanager
def _recorded(store: Store) -> Iterator[None]:
    """A start that the store does not take is told as whatever else stops one. Raises `ProofError`."""
    try:
        yield
    except Refusal as refusal:
        raise ProofError(store.trouble or Flaw.NOT_DONE) from refusal


async def _remember(store: Store, loaded: Loaded) -> None:
    """What the hub goes by from now on, kept for later. Raises `ProofError`."""
    agreement, trust = loaded.rules.agreement, loaded.rules.certificates.trust
    with _recorded(store):
        await store.remember(agreement.revision, agreement.files)
        await store.believe(trust, clock())


def _signing_beside(stack: AsyncExitStack, loaded: Loaded) -> Loaded:
    """The same, with a thread where tokens are waited for; it begins with the first signature of a token."""
    beside = ThreadPoolExecutor(1, "signing")
    stack.callback(beside.shutdown, wait=False, cancel_futures=True)
    rules = loaded.rules
    return replace(loaded, rules=replace(rules, signer=replace(rules.signer, beside=beside)))


def _pin(  # noqa: PLR0913, PLR0917 - what is pinned, where, and who hears of it
    stack: AsyncExitStack,
    settings: Settings,
    store: Store,
    metrics: Metrics,
    log: OperationalLog,
    fellows: Fellows,
) -> None:
    """Keep the checkpoint elsewhere, where the settings say so."""
    if settings.log.pin is None:
        return
    pinning = Pinning(settings.log.pin, store.checkpoint, metrics, log)
    stack.push_async_callback(pinning.keep)
    stack.callback(asyncio.create_task(once_leading(fellows, pinning.run), name="pinning").cancel)


def _spokes(settings: Settings, tls: ssl.SSLContext, in_force: RulesInForce) -> HttpSpokes:
    limits = settings.limits
    return HttpSpokes(
        tls,
        seconds=limits.provider_seconds,
        connections=limits.provider_connections,
        max_bytes=limits.answer_bytes,
        document_seconds=limits.document_seconds,
        document_bytes=limits.document_bytes,
        destinations=Destinations(settings.outbound.allow),
        check=peer_check(in_force),
    )


async def _ask_responders(  # noqa: PLR0913, PLR0917 - who asks, about what, and who hears of it
    stack: AsyncExitStack,
    settings: Settings,
    loaded: Loaded,
    in_force: RulesInForce,
    metrics: Metrics,
    log: OperationalLog,
    store: Store,
) -> Questions:
    """Begin to ask, and wait a while for the first answers: nothing is known yet."""
    client = await stack.enter_async_context(OcspClient(Destinations(settings.outbound.allow)))
    questions = Questions(
        loaded.responders, lambda: in_force.rules.certificates, client, clock, count_in(metrics), store.hear
    )
    work = asking(questions, settings.trust.ocsp_seconds, log)
    stack.callback(asyncio.create_task(work, name="responders").cancel)
    await questions.first()
    return questions


async def _feeding(  # noqa: PLR0913, PLR0917 - what is fed, to whom, and who hears of it
    stack: AsyncExitStack,
    settings: Settings,
    loaded: Loaded,
    store: Store,
    tls: ssl.SSLContext,
    metrics: Metrics,
    log: OperationalLog,
    fellows: Fellows,
) -> Feeder | None:
    """Ask the witnesses what they hold, before anything is appended, and begin to feed them; None without any.

    A worker that joins others does not ask: they append, and whichever of them leads feeds.

    Raises `ProofError` when the log is behind a witness.
    """
    chosen = settings.witnesses
    if loaded.policy is None:
        return None
    destinations = Destinations(settings.outbound.allow)
    client = await stack.enter_async_context(WitnessClient(destinations, tls, chosen.answer_seconds))
    reader = stack.enter_context(LogReader.open(settings.log.store))
    feeder = Feeder(
        loaded.policy,
        Patience(chosen.warn_seconds, chosen.stop_seconds),
        store=store,
        reader=reader,
        client=client,
        metrics=metrics,
        log=log,
        clock=clock,
    )
    if not fellows.joins:
        await feeder.first(refuse=chosen.at_start == "refuse")
    task = asyncio.create_task(feeder.run(fellows.leads), name="witnesses")
    stack.callback(task.cancel)
    return feeder


@dataclass(frozen=True, slots=True)
class Shared:
    """What a worker has from its supervisor."""

    fellows: Fellows
    soap: socket.socket  # of its own, at the address that all share
    operations: socket.socket  # that all share; whoever leads accepts
    quotas: SharedMoments


async def _due(in_force: RulesInForce, store: Store) -> int:
    """How many buckets of the log are kept too long."""
    return await store.due(in_force.rules.agreement.retention.log_years, clock())


def served_for(public_url: str) -> ServedContract:
    """The contract documents of each authority's role, made once for each revision."""

    @lru_cache(maxsize=16)
    def by_role(agreement: Agreement, role: Role) -> Mapping[str, bytes]:
        return served_documents(agreement, role, public_url)

    return lambda agreement, authority: by_role(agreement, authority.role) if authority.role else {}


def _bound(listen: Listen) -> tuple[socket.socket, socket.socket]:
    (soap,), operations = bind(listen)
    return soap, operations


def _listen(
    under_way: UnderWay, listener: Listener, bound: socket.socket, tls: ssl.SSLContext | None
) -> Door:
    """Accept the connections of a socket that listens."""
    door = Door(bound, listener.connection, tls, listener.limits, listener.watch)
    under_way.append(partial(_leave, door, listener))
    return door


async def _drain(outside: Listener, seconds: float, hurry: asyncio.Event, log: OperationalLog) -> None:
    """Not ready any more, though everything is still served: a balancer sees it, and leads new connections elsewhere."""
    outside.draining = True
    if seconds:
        log.note("draining")
        with suppress(TimeoutError):
            await asyncio.wait_for(hurry.wait(), seconds)


async def _finish(under_way: UnderWay) -> None:
    """All of it at the same time: while one thing ends no other begins, and together they have no longer than one."""
    await asyncio.gather(*(end() for end in under_way))


async def _leave(door: Door, listener: Listener) -> None:
    """Take no new connection, close the idle ones, let what is under way end."""
    door.close()
    await asyncio.sleep(0)  # handshakes are given up: no connection is added any more
    listener.pre_shutdown()
    await listener.shutdown(_FINISH_SECONDS)


def _connection_limits(limits: LimitSettings) -> ConnectionLimits:
    return ConnectionLimits(
        in_all=limits.connections,
        of_an_address=limits.connections_per_address,
        of_an_authority=limits.connections_per_authority,
        header_seconds=limits.header_seconds,
        reply_seconds=limits.reply_seconds,
    )


def _http_limits(limits: LimitSettings) -> HttpLimits:
    return HttpLimits(
        body_bytes=limits.request_bytes,
        body_seconds=limits.body_seconds,
        document_bytes=limits.document_bytes,
        document_seconds=limits.document_seconds,
    )


def _admission_limits(limits: LimitSettings) -> AdmissionLimits:
    return AdmissionLimits(
        in_flight=limits.in_flight,
        of_an_authority=limits.in_flight_per_authority,
        in_flight_bytes=limits.in_flight_bytes,
        wait_seconds=limits.wait_seconds,
    )
