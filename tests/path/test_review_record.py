"""PROTOCOL §8 under attack: callers that leave, failures in odd places, a log that is full or broken."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.adapters.store import LogReader
from gateway.broker.reply import Signer
from gateway.broker.rules import Rules
from gateway.exchangelog.audit import audit
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.note import Signer as LogSigner
from gateway.model import Criteria
from gateway.refusal import Code, Refusal
from gateway.wss.sign import SigningKey
from tests.path.hub import DOSSIER, HUB, SSIN, Hub, answer_well, load_pem_private_key, pki, signing_key
from tests.path.payloads import CANARY

WORK, PRIOR = "WIB:WORK_DECISION", "WIB:PRIOR_APPLICATION_CHECK"
REGIONS = ("FLANDERS", "WALLONIA", "GERMAN_COMMUNITY")


class Leaving:
    """Log, directory and spokes of a hub, at whose nth step the caller's request is cancelled."""

    def __init__(self, hub: Hub, at: int):
        self.hub, self.left, self.task = hub, at, None

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.task.cancel()

    def __getattr__(self, name):
        return getattr(self.hub.store, name)

    async def append(self, entry):
        self.step()
        receipt = await self.hub.store.append(entry)
        self.step()
        return receipt

    async def scope(self, dossier):
        self.step()
        return await self.hub.store.scope(dossier)

    async def ask(self, provider, message, action):
        self.step()
        await asyncio.sleep(0)
        raw = await self.hub.ask(provider, message, action)
        self.step()
        return raw


def changed(hub: Hub, **parts: object) -> None:
    """Give the hub's paths other parts."""
    plain = hub.parts
    hub.parts = lambda: replace(plain(), **parts)


def findings(hub: Hub) -> set[Flaw]:
    verifier = LogSigner.of("test.example/log", load_pem_private_key(pki()["HUB/log.key.pem"], None)).verifier
    with LogReader.open(hub.path) as log:
        return {finding.flaw for finding in audit(log, log.head(), [verifier])}


async def cancelled_at(hub: Hub, at: int, operation: str, context: str, criteria: Criteria | None):
    """The reply, or None where the request was cancelled."""
    leaving = Leaving(hub, at)
    changed(hub, store=leaving, spokes=leaving)
    leaving.task = asyncio.create_task(hub.consult("BRUSSELS", operation, context, criteria))
    (reply,) = await asyncio.gather(leaving.task, return_exceptions=True)
    del hub.parts
    assert not isinstance(reply, Exception), reply
    return None if isinstance(reply, asyncio.CancelledError) else reply


QUESTIONS = {
    "granted": ("consultDossier", WORK, None, 7),
    "refused": ("consultDossier", "WIB:RESIDENCE_DECISION", None, 3),
    "gathered": ("consultPriorApplications", PRIOR, Criteria(DOSSIER, ssin=SSIN), 11),
    "answered by the hub": ("sendTestMessage", WORK, Criteria(None, echo="x"), 4),
}  # the last number: steps of the exchange


@pytest.mark.parametrize(
    ("case", "at"), [(case, at) for case in QUESTIONS for at in range(1, QUESTIONS[case][3] + 1)]
)
async def test_whenever_a_request_is_cut_off_nothing_was_forwarded_or_returned_unrecorded(hub: Hub, case, at):
    operation, context, criteria, _ = QUESTIONS[case]
    reply = await cancelled_at(hub, at, operation, context, criteria)
    assert (
        await hub.consult("BRUSSELS", "consultStatus", WORK)
    ).code is None  # and behind it all that waited
    kinds = [entry["kind"] for entry in hub.entries()[:-2]]
    assert not hub.asked[:-1] or "request" in kinds
    assert reply is None or {"response", "refusal"} & set(kinds)
    assert findings(hub) <= {Flaw.OUTCOME_UNKNOWN}


@pytest.mark.parametrize("case", QUESTIONS)
async def test_a_request_that_is_not_cut_off_has_as_many_steps_as_were_cut_above(hub: Hub, case):
    operation, context, criteria, steps = QUESTIONS[case]
    leaving = Leaving(hub, -1)
    changed(hub, store=leaving, spokes=leaving)
    await hub.consult("BRUSSELS", operation, context, criteria)
    assert -1 - leaving.left == steps


def bug(hub, provider, asked):
    raise RuntimeError(f"while handling {CANARY}")


def cut(hub, provider, asked):
    raise asyncio.CancelledError


def down(hub, provider, asked):
    raise Refusal(Code.PROVIDER_UNREACHABLE)


MIXED = {  # troubles of the three regions: the code, None for an incomplete answer
    "one down": ((down, None, None), None),
    "two down": ((down, None, down), None),
    "a bug beside answers": ((None, None, bug), "WIB10002"),
    "a bug beside one that is down": ((down, bug, None), "WIB10002"),
    "a question cut off below": ((None, cut, None), "WIB10002"),
    "every question cut off below": ((cut, cut, cut), "WIB10002"),
}


@pytest.mark.parametrize("case", MIXED)
async def test_mixed_troubles_of_a_gathered_answer_are_recorded(hub: Hub, case):
    troubles, code = MIXED[case]
    hub.answering = {name: trouble for name, trouble in zip(REGIONS, troubles, strict=True) if trouble}
    answered = await hub.consult("BRUSSELS", "consultPriorApplications", PRIOR, Criteria(DOSSIER, ssin=SSIN))
    assert answered.code == code
    assert [entry["decision"] for entry in hub.entries()] == ["permitted", code or "incomplete"]
    assert CANARY not in "".join(answered.body.itertext())


async def test_a_single_question_that_is_cut_off_below_is_a_bug_and_recorded(hub: Hub):
    assert (await hub.consult("BRUSSELS", "consultDossier", "WIB:WORK_DECISION")).code is None
    hub.answering = {"PLATFORM": cut}
    answered = await hub.consult("BRUSSELS", "consultDossier", "WIB:WORK_DECISION")
    assert answered.code == "WIB10002"
    assert [entry["decision"] for entry in hub.entries()[2:]] == ["permitted", "WIB10002"]


class Mute:
    """A key in a token that does not sign."""

    suite = "ecdsa-sha256"

    def sign(self, data: bytes) -> bytes:
        raise Refusal(Code.SIGNING_UNAVAILABLE)


def without_ec_key(hub: Hub, *names: str) -> None:
    """The hub's ECDSA key does not sign; besides those of the register these authorities want it."""
    keys = {**hub.signer().keys, Mute.suite: SigningKey(Mute(), signing_key(HUB, "sign-ec").certificate)}

    def change(rules: Rules) -> Rules:
        authorities = tuple(
            replace(one, suite=Mute.suite) if one.id in names else one for one in rules.register.authorities
        )
        register = replace(rules.register, authorities=authorities)
        return replace(rules, register=register, signer=replace(rules.signer, keys=keys))

    hub.rules_change = change


async def test_a_question_that_the_hub_cannot_sign_is_not_told_as_a_source_that_is_missing(hub: Hub):
    without_ec_key(hub, "GERMAN_COMMUNITY")
    with pytest.raises(Refusal) as caught:
        await hub.consult("BRUSSELS", "consultPriorApplications", PRIOR, Criteria(DOSSIER, ssin=SSIN))
    assert caught.value.code is Code.SIGNING_UNAVAILABLE
    assert [entry["decision"] for entry in hub.entries()] == ["permitted", "WIB10004"]


class Log:
    """The store, but for its nth append."""

    def __init__(self, hub: Hub, at: int, trouble: Exception):
        self.hub, self.left, self.trouble = hub, at, trouble

    def __getattr__(self, name):
        return getattr(self.hub.store, name)

    async def append(self, entry):
        self.left -= 1
        if self.left == 0:
            raise self.trouble
        return await self.hub.store.append(entry)


@pytest.mark.parametrize(
    "trouble", [Refusal(Code.LOG_UNAVAILABLE), Refusal(Code.BUSY), ValueError(CANARY)], ids=repr
)
async def test_a_refusal_that_cannot_be_recorded_is_a_fault_that_says_so(hub: Hub, trouble):
    changed(hub, store=Log(hub, 1, trouble))
    answered = await hub.consult("BRUSSELS", "consultDossier", "WIB:RESIDENCE_DECISION")
    assert answered.code == (
        "WIB01007" if isinstance(trouble, Refusal) and trouble.code is Code.BUSY else "WIB10001"
    )
    assert CANARY not in "".join(answered.body.itertext()) + answered.event.trace
    assert hub.entries() == []


async def test_a_signature_that_failed_and_cannot_be_recorded_is_a_fault_that_says_so(hub: Hub):
    """The fault is signed with the other key; what the event says is what the wire says."""
    without_ec_key(hub, "PLATFORM")
    changed(hub, store=Log(hub, 2, Refusal(Code.LOG_UNAVAILABLE)))
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert (answered.code, answered.event.code) == ("WIB10001", Code.LOG_UNAVAILABLE)
    assert [entry["kind"] for entry in hub.entries()] == ["request"]


async def test_a_refusal_that_can_be_recorded_says_why(hub: Hub):
    changed(hub, store=Log(hub, 2, ValueError()))
    assert (await hub.consult("BRUSSELS", "consultDossier", "WIB:RESIDENCE_DECISION")).code == "WIB07002"
    assert [entry["decision"] for entry in hub.entries()] == ["WIB07002"]


@pytest.mark.parametrize(("at", "forwarded"), [(1, 0), (2, 1)])
async def test_at_a_full_log_nothing_is_forwarded_or_returned(hub: Hub, at, forwarded):
    changed(hub, store=Log(hub, at, Refusal(Code.BUSY)))
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert (answered.code, answered.event.retry_after) == ("WIB01007", 2)
    assert len(hub.asked) == forwarded
    assert [entry["kind"] for entry in hub.entries()] == ["request"][:forwarded]


async def test_a_failure_to_sign_after_both_commits_leaves_a_log_that_holds(hub: Hub, monkeypatch):
    def broken(*_):
        raise ValueError(CANARY)

    monkeypatch.setattr(Signer, "reply", broken)
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert answered.code == "WIB10002"
    assert CANARY not in "".join(answered.body.itertext())
    assert [entry["decision"] for entry in hub.entries()] == ["permitted", "released", "WIB10002"]
    assert findings(hub) == set()


async def test_the_provider_sees_only_what_was_recorded(hub: Hub):
    """Commit 1 stands before the question leaves, for each of the providers asked."""
    seen = []

    def look(hub, provider, asked):
        seen.append([entry["kind"] for entry in hub.entries()])
        raise Refusal(Code.PROVIDER_TIMEOUT)

    hub.answering = dict.fromkeys(REGIONS, look)
    answered = await hub.consult("BRUSSELS", "consultPriorApplications", PRIOR, Criteria(DOSSIER, ssin=SSIN))
    assert (answered.code, seen) == ("WIB09002", [["request"]] * 3)


async def test_an_answer_to_an_earlier_question_is_not_taken_for_a_later_one(hub: Hub):
    """A provider that answers after its time is up, on whatever connection."""
    first = []

    def keep(hub, provider, asked):
        first.append(asked)
        raise Refusal(Code.PROVIDER_TIMEOUT)

    hub.answering["PLATFORM"] = keep
    assert (await hub.consult("BRUSSELS", "consultDossier", WORK)).code == "WIB09002"
    hub.answering["PLATFORM"] = lambda hub, provider, asked: answer_well(hub, provider, first[0])
    assert (await hub.consult("BRUSSELS", "consultDossier", WORK)).code == "WIB09007"
    del hub.answering["PLATFORM"]
    assert (await hub.consult("BRUSSELS", "consultDossier", WORK)).code is None
