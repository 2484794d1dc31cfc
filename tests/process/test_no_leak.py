"""PROTOCOL §8.4, attacks L03, L07, G08: nothing of what is said stays, or shows, where it has no place.

A hub process is led through every operation by authorities whose every word is a canary; then everything that
it wrote is searched for each of them, in every encoding and as unsalted digests. `Place` lists the exceptions.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import apsw
import pytest

from gateway.broker.event import OUTCOMES
from gateway.exchangelog.form import RETENTION, Kind
from gateway.model import Pattern, Role, Settlement
from gateway.refusal import Code
from tests.path.hub import agreement, register
from tests.process.canaries import asking, documents, hostile, mischief, places, telling
from tests.process.canaries.answers import endpoints
from tests.process.canaries.place import enter, hub, write_keys, write_settings
from tests.process.canaries.traces import Search, Trace
from tests.process.canaries.values import messages
from tests.process.canaries.world import World, fields, words


@dataclass
class Evidence:
    """What is left when the story is over."""

    world: World
    left: dict[str, bytes] = field(default_factory=dict)  # place → what stands there

    def keep(self, when: str, found: Mapping[str, bytes]) -> None:
        self.left.update({f"{name} ({when})": data for name, data in found.items()})


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> Evidence:
    return asyncio.run(told(Evidence(World(tmp_path_factory.mktemp("canaries")))))


async def told(evidence: Evidence) -> Evidence:
    world = evidence.world
    write_keys(world)
    async with endpoints(world) as urls:
        write_settings(world, urls)
        enter(world, telling.known_before())
        async with hub(world, preexec_fn=dumpable) as process:
            await everything_happens(evidence, process.pid)
            process.send_signal(signal.SIGABRT)
            await asyncio.to_thread(process.wait, 60)
            evidence.keep("aborted", places.files(world.directory))
        async with hub(world, "tests.process.canaries.injected"):
            await mischief.meet_bugs(world)
            evidence.keep("after bugs", await places.operations(world.urls["operations"]))
    evidence.keep("ended", places.files(world.directory))
    evidence.keep("ended", places.log(world.directory / "store.db"))
    evidence.keep("ended", await asyncio.to_thread(places.commands, world.directory / "gateway.toml"))
    return evidence


async def everything_happens(evidence: Evidence, pid: int) -> None:
    world = evidence.world
    await asking.ask_everything(world)
    await documents.upload_and_retrieve(world)
    await asking.ask_the_hub(world)
    world.failing = {"NSSO", "PLATFORM"}
    await telling.tell_everything(world)
    await documents.hold_a_document(world, lambda: look(evidence, pid))
    evidence.keep("waiting", await asyncio.to_thread(places.commands, world.directory / "gateway.toml"))
    world.failing = set()
    await telling.rectify_everything(world)
    await telling.read_mailboxes(world)
    await hostile.ask_the_hostile(world)
    await mischief.say_everything(world)
    await mischief.be_refused(world)
    await mischief.call_from_outside(world)
    evidence.keep("running", await places.operations(world.urls["operations"]))


def dumpable() -> None:
    """What the hub is started with would let it leave an image of its memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)


def look(evidence: Evidence, pid: int) -> None:
    """While a document is on its way: what the kernel and the disk show, as soon as a piece of it is there."""
    found, end = places.process(pid), time.monotonic() + 60
    while not any(name.startswith("process fd") for name in found):
        assert time.monotonic() < end, "no document came by"
        found = places.process(pid)
    evidence.keep("under way", found)
    evidence.keep("under way", places.files(evidence.world.directory))


@dataclass(frozen=True)
class Place:
    """Where something may stand in spite of all, and why."""

    canaries: str  # pattern of their ids
    place: str  # pattern of places
    reason: str  # with its clause

    def allows(self, place: str, trace: Trace) -> bool:
        named = fnmatchcase(place, self.place) and fnmatchcase(trace.canary.id, self.canaries)
        return named and not trace.digest  # no digest of anything has a place


MAY = (
    Place(
        "*/dossierNumber",
        "file store.db*",
        "§7.2, §13.4: directory and queue go by the number of the dossier",
    ),
    Place("*/dossierNumber", "command dossier *", "§15.4, annex D: whose commands are about that directory"),
    Place(
        "*/dossierNumber", "command queue *", "annex D: the operator tells deliveries apart by their dossier"
    ),
    Place(
        "*/dossierNumber",
        "command log subject *",
        "§8.13: the report for a person tells its files apart",
    ),
    Place("*/status", "command dossier *", "§7.2: the directory has the status of a dossier"),
    Place("*/procedure", "command dossier *", "§7.2: and its procedure"),
    Place("*eference", "file store.db*", "§17.4: an uploaded document is found by its reference"),
    Place("*ha256", "file store.db*", "§17.4: and has the digest by which its dossiers name it"),
)


@pytest.fixture(scope="module")
def search(evidence) -> Search:
    return Search(evidence.world.said.values())


@pytest.fixture(scope="module")
def traces(evidence, search) -> list[tuple[str, Trace]]:
    """Every canary that stands in what the hub left."""
    return [(place, trace) for place, data in evidence.left.items() for trace in search.traces(data)]


def test_nothing_that_was_said_stands_where_it_has_no_place(traces):
    leaked = [
        (place, trace.canary.id, trace.form)
        for place, trace in traces
        if not any(one.allows(place, trace) for one in MAY)
    ]
    assert leaked == []


@pytest.mark.parametrize("exception", MAY, ids=lambda one: f"{one.canaries} in {one.place}")
def test_every_exception_is_needed(traces, exception):
    assert any(exception.allows(place, trace) for place, trace in traces)


def test_everybody_hears_what_is_for_them_and_nothing_else(evidence, search):
    wrong = []
    for heard in evidence.world.heard:
        found = {trace.canary.value for trace in search.traces(heard.data) if not trace.digest}
        wrong += [(heard.what, heard.by, "must not", value) for value in found - heard.may]
        wrong += [(heard.what, heard.by, "must", value) for value in heard.must - found]
    assert wrong == []


def test_a_crash_leaves_no_image_of_the_memory(evidence):
    assert not [name for name in evidence.left if "core" in name]


# Whether the story tells of everything.


def by_the_hub(name: str) -> bool:
    """Responses that the hub alone writes: nobody else can put anything into them."""
    operation = agreement().operations.get(name.removesuffix("Response"))
    answers_itself = operation.hub or operation.pattern in {Pattern.MAILBOX, Pattern.UPLOAD}
    return name.endswith("Response") and answers_itself


def test_every_leaf_of_every_message_was_sent(evidence):
    paths = {leaf.path for name, part in messages().items() if not by_the_hub(name) for leaf in part.leaves()}
    assert paths - evidence.world.exercised == set()


def test_all_that_somebody_may_tell_was_taken(evidence):
    """But for the fields in which a payload tells its step: they say one of a few words."""
    outcomes = {str(one) for course in agreement().courses.values() for one in course.outcomes}
    for name, operation in agreement().operations.items():
        if operation.pattern is Pattern.NOTIFY:
            writes = frozenset[str]().union(
                *(agreement().matrix.writes(role, operation) for role in operation.providers)
            )
            paths = {path for path, one in fields(name).items() if one in writes - outcomes}
            assert paths - evidence.world.accepted == set(), name


def test_every_permitted_view_was_asked_for(evidence):
    replies = [one for one in evidence.world.heard if one.what.endswith(" reply") and one.must]
    assert len(replies) >= sum(one.kind is None for one in asking.askings()) > 50
    assert all(one.must for one in replies)


def test_whatever_went_wrong_was_told_in_a_line(evidence):
    """Bugs in stages and outside of them: the log has each, by its kind and place alone."""
    lines = operational_lines(evidence)
    told_of = " ".join(str(line.get("trace", "")) for line in lines)
    assert {"exchange", "delivery", "refused", "failed", "library"} <= {line["event"] for line in lines}
    assert "RuntimeError at injected.py" in told_of


# What is too short to be found by itself is of a closed form, or is not there at all.

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CODES = {code.row.code for code in Code} | {"LOG511"}
LABELS = {code.row.label for code in Code}
PARTIES = {str(one.id) for one in register().authorities}
OPERATIONS = {*agreement().operations}


def one_of(known: set[str]) -> str:
    return "|".join(map(re.escape, sorted(known)))


FORMS = {  # key of a line → what may stand there; numbers and null may stand anywhere
    "event": "serving|draining|lost|stopping|exchange|delivery|refused|failed|library|courier|cleaning|cut off",
    "timestamp": r"[0-9T:.-]+Z",
    "exchange": UUID,
    "delivery": UUID,
    "peer": one_of(PARTIES),
    "signer": one_of({*PARTIES, "HUB"}),
    "recipient": one_of(PARTIES),
    "operation": one_of(OPERATIONS),
    "outcome": one_of({*OUTCOMES, *Settlement}),
    "code": one_of(CODES),
    "label": one_of(LABELS),
    "trace": r"\w+ at [\w.<>-]+:\d+( < [\w.<>-]+:\d+)*",
    "error": r"\w+",
    "logger": r"[\w.]+",
    "level": "WARNING|ERROR|CRITICAL",
    "place": r"\w+:\d+",
    "url": r"https://127\.0\.0\.1:\d+/soap/v1",
    "operations": r"http://127\.0\.0\.1:\d+",
    "agreement": "[0-9a-f]{64}",
}


def operational_lines(evidence: Evidence) -> list[dict[str, object]]:
    text = evidence.left["file hub.err (ended)"].decode().partition("\n")[2]
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_of_the_operational_log_is_of_closed_words(evidence):
    strange = [
        (key, value)
        for line in operational_lines(evidence)
        for key, value in line.items()
        if isinstance(value, str) and not re.fullmatch(FORMS.get(key, "(?!)"), value)
    ]
    assert strange == []
    assert evidence.left["file hub.out (ended)"] == b"hub.out\n"


def test_every_text_in_the_store_is_of_a_closed_form(evidence):
    statuses = {
        one
        for course in agreement().courses.values()
        for step in course.steps
        for one in (*step.before, step.after)
    }
    known = one_of(
        {
            *words(),
            *PARTIES,
            *OPERATIONS,
            *CODES,
            *Kind,
            *Role,
            *filter(None, statuses),
            "waiting",
            "dead",
            "settled",
            *("anchors", "intermediates", "crls", "answers"),  # kinds of what the hub believed
        }
    )
    bucket = rf"{RETENTION}/\d{{4}}-\d\d"
    form = rf"{known}|{bucket}|{UUID}|[0-9a-f]{{64}}|[0-9a-f]{{32}}\.sealed|WIB-\d{{4}}-\d{{7}}-\d\d|[0-9T:.-]+(\+00:00|Z)"
    connection = apsw.Connection(str(evidence.world.directory / "store.db"), flags=apsw.SQLITE_OPEN_READONLY)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    strange = {
        (table, column)
        for table in tables
        for row in connection.execute(f"SELECT * FROM {table}")
        for column, value in zip(table_columns(connection, table), row, strict=True)
        if isinstance(value, str) and not re.fullmatch(form, value)
    }
    assert strange <= {("documents", "reference"), ("sqlite_sequence", "name")}


def table_columns(connection: apsw.Connection, table: str) -> list[str]:
    return [name for (_, name, *_) in connection.execute(f"PRAGMA table_info({table})")]
