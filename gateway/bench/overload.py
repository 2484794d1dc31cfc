"""More than the hub can do: what is left of its throughput, and of the patience of those who ask little.

Two questions, each answered by a ratio of figures of one run, taken in turns, so that a machine that is shared
cancels out. Overload: the exchanges a second when four times as many clients ask as the hub is best with. Fairness:
how long a calm authority waits while another floods the hub and heeds no Retry-After, against how long it waits alone:
where no quota binds the flood, while its quota lets it have a first burst, and once that is used up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from gateway.adapters.store_directory import Directory
from gateway.agreement.register import load_register
from gateway.bench import endpoints
from gateway.bench.crowd import Crowded, Crowding, Door, crowd
from gateway.bench.dossiers import dossier_number
from gateway.bench.hub import Dossiers, Hub, running
from gateway.bench.overload_figures import Fairness, Load, Overload, Quotas
from gateway.bench.place import ORIGIN, PROVIDER, SUITES, Place, certify, write_endpoints
from gateway.bench.process import Helper
from gateway.bench.trouble import BenchError
from gateway.bench.wire import HOST
from gateway.loading import secret_key
from gateway.model import AuthorityId, DossierScope, Inscription, Role
from gateway.policy.person import person_digest
from gateway.sandbox.settings import hub_settings

REGIONS: Final = tuple(map(AuthorityId, ("BRUSSELS", "FLANDERS", "WALLONIA", "GERMAN_COMMUNITY")))
CALM, FLOODING = REGIONS[0], REGIONS[2]
OVER: Final = 4  # times as many
_CALM_CLIENTS: Final = 2
_CALM_PAUSE: Final = 0.02  # seconds
_WORKER: Final = "90612400144"  # of the test range: nobody's
_UNBOUND: Final = "quota = { per_second = 100000.0, burst = 1000000 }\n"
_SPENT: Final = "quota = { per_second = 50.0, burst = 50 }\n"  # a region's of the shipped agreement, with what a second brings for its burst
_SUITE: Final = re.compile(r'^suite = ".*"\n', re.MULTILINE)
# Many clients at one address, which wait until all have connected.
_LIMITS: Final = "[limits]\nconnections_per_address = 1024\nheader_seconds = 120.0\n"

Tell = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trial:
    """What to measure, and where."""

    suite: str
    size: int  # KB of payload
    clients: int  # with which the hub is about at its peak; as many connections has a flood
    seconds: float  # of each round
    directory: Path
    contracts: Path


def overload(trial: Trial, tell: Tell) -> Overload:
    """Measure what is left at four times the clients. Raises BenchError."""
    name = f"overload, {trial.suite}, {trial.size} KB"
    with _crowded(trial, Quotas.NONE) as here:
        tell(f"{name}: warming up")
        here.load(trial.clients, min(2.0, trial.seconds), heeds=True)

        def load(clients: int, *, heeds: bool) -> Load:
            tell(f"{name}: {clients} clients{'' if heeds else ' that heed nothing'}")
            return here.load(clients, trial.seconds, heeds=heeds)

        first = load(trial.clients, heeds=True)
        over = load(OVER * trial.clients, heeds=True), load(OVER * trial.clients, heeds=False)
        return Overload(trial.suite, trial.size, (first, load(trial.clients, heeds=True)), over)


def fairness(trial: Trial, tell: Tell, quotas: Quotas) -> Fairness:
    """Measure how much a flood slows the calm. Raises BenchError."""
    name = f"fairness, {trial.suite}, {trial.size} KB, quotas: {quotas.value}"
    with _crowded(trial, quotas) as here:
        tell(f"{name}: a calm authority alone")
        here.calm(min(2.0, trial.seconds))
        before = here.calm(trial.seconds)
        tell(f"{name}: beside a flood")
        beside, flood = here.beside_flood(trial.clients, trial.seconds)
        tell(f"{name}: alone again")
        alone = before, here.calm(trial.seconds)
        return Fairness(trial.suite, trial.size, quotas, alone, beside, flood, trial.clients)


class _World:
    """A hub, and two processes that ask it."""

    def __init__(self, hub: Hub, size: int, many: Helper, few: Helper) -> None:
        self._hub, self._size, self._many, self._few = hub, size, many, few

    def load(self, clients: int, seconds: float, *, heeds: bool) -> Load:
        shares = {name: clients // 4 + (at < clients % 4) for at, name in enumerate(REGIONS)}
        self._many.send(Crowding(self._size, shares, seconds, heeds, ready=round(75 * seconds)))
        _expect(self._many, str)
        spent = self._hub.spent
        self._many.send("begin")
        result = _expect(self._many, Crowded)
        return Load(clients, heeds, result, (self._hub.spent - spent).total, sum(self._hub.memory_mb))

    def calm(self, seconds: float) -> Crowded:
        self._few.send(self._calm(seconds))
        _expect(self._few, str)
        self._few.send("begin")
        return _expect(self._few, Crowded)

    def beside_flood(self, connections: int, seconds: float) -> tuple[Crowded, Crowded]:
        """The flood begins a second before, and ends a second after."""
        flood = Crowding(
            self._size, {FLOODING: connections}, seconds + 2, heeds=False, ready=round(150 * seconds)
        )
        self._many.send(flood)
        _expect(self._many, str)
        self._few.send(self._calm(seconds, delay=1.0))
        _expect(self._few, str)
        self._many.send("begin")
        self._few.send("begin")
        return _expect(self._few, Crowded), _expect(self._many, Crowded)

    def _calm(self, seconds: float, delay: float = 0.0) -> Crowding:
        return Crowding(
            self._size,
            {CALM: _CALM_CLIENTS},
            seconds,
            pause=_CALM_PAUSE,
            ready=round(100 * seconds),
            delay=delay,
        )


@contextmanager
def _crowded(trial: Trial, quotas: Quotas) -> Iterator[_World]:
    """The hub with all its regions, up and then down again. Raises BenchError."""
    place = _prepare(trial, quotas)
    with ExitStack() as stack:
        answering = stack.enter_context(Helper("provider", endpoints.provide, place.party(PROVIDER)))
        write_endpoints(place, {PROVIDER: f"https://{HOST}:{_expect(answering, int)}/soap"})
        hub = stack.enter_context(running(place, Dossiers([], 0)))
        _inscribe(place, trial.size)
        door = Door(hub.port, hub.path, place.register.hub.tls_name)
        parties = [place.party(name) for name in REGIONS]
        many = stack.enter_context(Helper("crowd", crowd, door, parties))
        few = stack.enter_context(Helper("calm", crowd, door, parties[:1]))
        yield _World(hub, trial.size, many, few)


def _prepare(trial: Trial, quotas: Quotas) -> Place:
    """Register, certificates and settings. Raises BenchError."""
    suite, directory = trial.suite, trial.directory
    source = trial.contracts / "register.toml"
    if not source.is_file():
        raise BenchError(
            "BEN005", f"{source} does not exist.", "Name the directory of the contracts with --contracts."
        )
    register = register_of(source.read_text(), suite, quotas)
    place = Place(suite, directory, load_register(register.encode(), str(source)))
    certify(
        place, (*REGIONS, PROVIDER, AuthorityId("IMMIGRATION_OFFICE"), AuthorityId("NSSO")), trial.contracts
    )
    settings = hub_settings(trial.contracts, ORIGIN, "https://gateway.wib.example/soap/v1")
    place.settings.write_text(settings.replace("[limits]\n", _LIMITS))
    (directory / "register.toml").write_text(register)
    return place


def register_of(shipped: str, suite: str, quotas: Quotas) -> str:
    """The shipped register with one suite for all. An authority's own quota holds in place of its role's."""
    line = f'suite = "{SUITES[suite]}"\n'
    register = _SUITE.sub(line + (_UNBOUND if quotas is Quotas.NONE else ""), shipped)
    if quotas is Quotas.SPENT:
        before, flooding = register.split(f'id = "{FLOODING}"\n')
        register = f'{before}id = "{FLOODING}"\n{_SPENT}{flooding}'
    return register


def _inscribe(place: Place, size: int) -> None:
    """All regions have a part in the dossier, so that each may ask for it."""
    since = datetime.now(UTC) - timedelta(days=1)
    roles: Mapping[AuthorityId, Role] = {PROVIDER: Role.PLAT} | dict.fromkeys(REGIONS, Role.REG)
    lines = tuple(Inscription(name, role, since, None) for name, role in roles.items())
    person = person_digest(secret_key(place.directory_key), _WORKER)
    with closing(Directory.open(place.store, writes=True)) as dossiers:
        number = dossier_number(size)
        dossiers.put(DossierScope(number, "SINGLE_PERMIT", "FIRST", "UNDER_REVIEW", since, lines, person))


def _expect(helper: Helper, kind: type[T]) -> T:
    message = helper.receive()
    assert isinstance(message, kind)  # the protocol of two halves of one program
    return message
