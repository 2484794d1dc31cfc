"""The story's own checks: a story that expects something else than what comes is told as failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.sandbox.files import FIRST
from gateway.sandbox.mischief import Neglect
from gateway.sandbox.story.cast import BRUSSELS, FLANDERS, OFFICE, PLATFORM, dossier
from gateway.sandbox.story.steps import Ask, Chapter, Outage, Tell, To
from gateway.sandbox.telling import tell
from gateway.sandbox.world import World

SUBMITTED = Tell(
    PLATFORM, "submitApplication", "ADMISSIBILITY", FIRST, (To(BRUSSELS, "ADMISSIBILITY", shows=("G10.name",)),)
)  # fmt: skip
ADMITTED = Tell(
    BRUSSELS, "notifyAdmissibility", "ADMISSIBILITY", FIRST,
    (To(PLATFORM, "ADMISSIBILITY"), To(OFFICE, "RESIDENCE_DECISION")),
)  # fmt: skip
TRANSFERRED = Tell(
    PLATFORM, "transferApplication", "RESIDENCE_DECISION", FIRST,
    (To(BRUSSELS, "WORK_DECISION"), To(OFFICE, "RESIDENCE_DECISION")),
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("telling") / "world") as world:
        submitted = told(world, SUBMITTED)
        assert submitted.troubles == []
        yield world


def told(world, step):
    """The step, done."""
    return tell(world, lambda _: None, [Chapter("", (step,))]).told[-1]


def test_refusal_that_was_not_expected_is_a_trouble(world):
    (trouble,) = told(world, SUBMITTED).troubles
    assert "WIB13003" in trouble
    assert told(world, replace(SUBMITTED, to=(), expects="WIB13003")).troubles == []


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"shows": ("G16.amount",)}, "G16.amount missing"),
        ({"hides": ("G10.name",)}, "G10.name received against the agreement"),
        ({"expects": "NO_DATA_FOUND"}, "NO_DATA_FOUND was expected"),
    ],
    ids=["missing field", "field too many", "other outcome"],
)
def test_answer_that_was_not_expected_is_a_trouble(world, question, words):
    asked = Ask(
        BRUSSELS, "consultDossier", "ADMISSIBILITY", dossier(), shows=("G10.name",), hides=("G16.amount",)
    )
    assert told(world, asked).troubles == []
    (trouble,) = told(world, replace(asked, **{"shows": (), "hides": ()} | question)).troubles
    assert trouble.startswith(words)


def wrong(change):
    """The transfer with one expectation of its first recipient changed."""
    to = replace(TRANSFERRED.to[0], **change)
    return replace(TRANSFERRED, to=(to, TRANSFERRED.to[1]))


def test_delivery_that_was_not_expected_is_a_trouble(world):
    assert told(world, ADMITTED).troubles == []
    assert told(world, TRANSFERRED).troubles == []  # from here on it may be told again and again
    for change, words in (
        ({"shows": ("G22.clear",)}, "G22.clear missing"),
        ({"hides": ("G16.amount",)}, "G16.amount received against the agreement"),
        ({"context": "ADMISSIBILITY"}, "received under WIB:WORK_DECISION instead of"),
    ):
        (trouble,) = told(world, wrong(change)).troubles
        assert trouble.startswith(f"{BRUSSELS}: {words}")


def test_recipient_too_many_or_too_few_is_a_trouble(world):
    missing = replace(TRANSFERRED, to=(*TRANSFERRED.to, To(FLANDERS, "WORK_DECISION")))
    (trouble,) = told(world, missing).troubles
    assert trouble.startswith(FLANDERS)
    surplus = replace(TRANSFERRED, to=TRANSFERRED.to[1:])
    assert told(world, surplus).troubles[0].startswith(BRUSSELS)


def test_recipient_that_fails_once_receives_once(world):
    for neglect in (Neglect.DOWN, Neglect.GARBAGE, Neglect.NOK, Neglect.OTHER_TICKET, Neglect.LOST):
        inbox = world.offices[OFFICE].inbox
        before, attempts = len(inbox.messages), inbox.attempts
        assert told(world, replace(TRANSFERRED, neglect={OFFICE: neglect})).troubles == []
        assert (len(inbox.messages) - before, inbox.attempts - attempts) == (1, 2)


def test_outage_ends_with_everything_in_its_order(world):
    inbox = world.offices[OFFICE].inbox
    before = len(inbox.messages)
    account = tell(world, lambda _: None, [Chapter("", (Outage(OFFICE, (TRANSFERRED,) * 3),))])
    assert account.troubles == []
    assert [one.exchange for one in inbox.messages[before:]] == [one.exchange for one in account.told]
