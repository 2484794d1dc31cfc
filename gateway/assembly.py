"""The broker's paths and the courier, put together over one store. Opens nothing, starts nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from gateway.adapters.metrics import Metrics
from gateway.adapters.store import Store
from gateway.adapters.store_directory import Directory
from gateway.adapters.store_session import StorePlace
from gateway.broker.ask import Asker
from gateway.broker.bell import Bell
from gateway.broker.consult import Consultation
from gateway.broker.content import Keeping, Shelf
from gateway.broker.deliver import Deliverer
from gateway.broker.document import DocumentSource, Retrieval
from gateway.broker.exchange import Broker
from gateway.broker.mailbox import MailboxService
from gateway.broker.notify import Intake
from gateway.broker.ports import Clock, Random, Spokes
from gateway.broker.revisions import Revisions
from gateway.broker.rules import RulesInForce
from gateway.broker.schedule import Breaker, RetryPolicy
from gateway.broker.upload import Uploading, sweep
from gateway.config import DeliverySettings
from gateway.edge.courier import Courier, CourierLimits
from gateway.edge.operational_log import OperationalLog
from gateway.loading import clock
from gateway.policy.deadlines import open_dossiers

_DAY: Final = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class Parts:
    """What every path shares."""

    in_force: RulesInForce
    store: Store
    spokes: Spokes
    bell: Bell
    delivery: DeliverySettings
    clock: Clock = clock
    random: Random = os.urandom
    sources: DocumentSource = field(kw_only=True)
    keeping: Keeping = field(kw_only=True)
    shelf: Shelf = field(kw_only=True)


def broker_of(parts: Parts) -> Broker:
    """The paths of all patterns."""
    store, now, random = parts.store, parts.clock, parts.random
    asker = Asker(parts.spokes, now, random)
    return Broker(
        consultation=Consultation(
            log=store,
            directory=store,
            asker=asker,
            clock=now,
            random=random,
        ),
        retrieval=Retrieval(
            log=store,
            directory=store,
            asker=asker,
            source=parts.sources,
            keeping=parts.keeping,
            uploads=store,
            shelf=parts.shelf,
            clock=now,
            random=random,
        ),
        intake=Intake(
            notifications=store,
            directory=store,
            history=store,
            clock=now,
            random=random,
            wake=parts.bell.ring,
        ),
        mailbox=MailboxService(
            revisions=Revisions(store),
            mailbox=store,
            queue=store,
            directory=store,
            history=store,
            log=store,
            lease=timedelta(seconds=parts.delivery.mailbox_lease_seconds),
            waits=parts.delivery.mailbox_waits,
            bell=parts.bell,
            clock=now,
            random=random,
        ),
        uploading=Uploading(
            log=store,
            directory=store,
            uploads=store,
            shelf=parts.shelf,
            clock=now,
            random=random,
        ),
        log=store,
        clock=now,
        random=random,
    )


def dossiers_open(in_force: RulesInForce, store: StorePlace) -> Mapping[tuple[str, str, str], int]:
    """Where open dossiers stand: (course, status, days left) → how many. Raises ProofError."""
    rules = in_force.rules
    with closing(Directory.open(store, writes=False)) as directory:
        dossiers = ((scope, directory.history(scope.dossier)) for scope in directory.all())
        return open_dossiers(dossiers, rules.agreement, rules.register, clock())


def deliverer_of(parts: Parts) -> Deliverer:
    """The path of a delivery."""
    chosen = parts.delivery
    return Deliverer(
        revisions=Revisions(parts.store),
        queue=parts.store,
        directory=parts.store,
        history=parts.store,
        spokes=parts.spokes,
        retries=RetryPolicy(
            chosen.first_retry_seconds, chosen.max_retry_seconds, chosen.dead_after_days * _DAY
        ),
        clock=parts.clock,
        random=parts.random,
    )


async def sweep_of(parts: Parts) -> None:
    """Remove uploaded documents whose time is over. Raises Refusal as `broker.upload.sweep`."""
    keep = timedelta(days=parts.in_force.rules.agreement.retention.payload_days)
    await sweep(parts.store, parts.shelf, parts.clock(), keep)


def courier_of(
    parts: Parts, metrics: Metrics, log: OperationalLog, leads: Callable[[], bool] = lambda: True
) -> Courier:
    """What drains the queue. `leads`: as `Courier`."""
    chosen = parts.delivery
    return Courier(
        deliverer=deliverer_of(parts),
        queue=parts.store,
        mailbox=parts.store,
        in_force=parts.in_force,
        limits=CourierLimits(
            at_once=chosen.at_once,
            lease=timedelta(seconds=chosen.lease_seconds),
        ),
        breaker=partial(Breaker, chosen.breaker_failures, timedelta(seconds=chosen.breaker_seconds)),
        bell=parts.bell,
        metrics=metrics,
        log=log,
        clock=parts.clock,
        leads=leads,
    )
