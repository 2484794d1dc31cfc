"""PROTOCOL §9.4: several providers, one reply, which is valid against the contract whatever they answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lxml import etree

from gateway.agreement import answer as rules
from gateway.model import Criteria, Outcome, Role
from gateway.refusal import Code, Refusal
from tests.path.hub import DOSSIER, ROOT, SSIN, Hub, agreement, answer_well, register, reply_body, sign_as
from tests.path.payloads import D

REGIONS = ("FLANDERS", "WALLONIA", "GERMAN_COMMUNITY")
CONTEXT, PRIOR = "WIB:PRIOR_APPLICATION_CHECK", Criteria(DOSSIER, ssin=SSIN)


def many(count: int):
    def answering(hub, provider, asked):
        hit = f"<s:priorApplication><d:hit{D}>true</d:hit></s:priorApplication>" * count
        payload = f"<s:priorApplications>{hit}</s:priorApplications>"
        return sign_as(provider.id, reply_body(asked, Outcome.DATA_FOUND, payload), hub.now)

    return answering


def without_result(hub, provider, asked):
    return sign_as(provider.id, reply_body(asked, Outcome.NO_RESULT, ""), hub.now)


def without_data(hub, provider, asked):
    return sign_as(provider.id, reply_body(asked, Outcome.NO_DATA_FOUND, ""), hub.now)


def html(hub, provider, asked):
    return b"<html></html>"


def down(hub, provider, asked):
    raise Refusal(Code.PROVIDER_UNREACHABLE)


async def ask(hub: Hub):
    """The reply, which is valid whenever there is one, or the fault."""
    answered = await hub.consult("BRUSSELS", "consultPriorApplications", CONTEXT, PRIOR)
    if answered.code is None:
        agreement().contract.validate(etree.fromstring(etree.tostring(answered.body)), Code.SCHEMA)
    return answered


@pytest.mark.parametrize("count", [0, 1, 10, 50])
async def test_lists_as_long_as_a_provider_may_write_them_make_a_valid_reply(hub: Hub, count):
    hub.answering = dict.fromkeys(REGIONS, many(count))
    answered = await ask(hub)
    assert len(answered.texts("hit")) == 3 * count
    assert answered.texts("fieldValue") == []


@pytest.mark.parametrize("count", [51, 500])
async def test_a_longer_list_makes_its_provider_a_missing_source(hub: Hub, count):
    hub.answering["FLANDERS"] = many(count)
    answered = await ask(hub)
    assert answered.texts("fieldValue") == ["FLANDERS"]
    assert answered.texts("region") == ["WALLONIA", "GERMAN_COMMUNITY"]


async def test_many_regions_share_what_the_contract_allows(hub: Hub):
    some = register().by_id["FLANDERS"]
    crowd = tuple(replace(some, id=f"REGION_{number}") for number in range(9))
    more = replace(register(), authorities=(*register().authorities, *crowd))
    assert len(more.active(Role.REG)) == 13
    hub.rules_change = lambda broker_rules: replace(broker_rules, register=more)
    others = {one.id: down for one in crowd}
    hub.answering = others | dict.fromkeys(REGIONS, many(500 // 12))
    assert len((await ask(hub)).texts("hit")) == 3 * 41
    hub.answering = others | dict.fromkeys(REGIONS, many(500 // 12 + 1))
    assert (await ask(hub)).code == "WIB09006"


def test_what_is_shared_is_what_the_contract_allows():
    tree = etree.parse(ROOT / "contracts/xsd/exchange.xsd")
    (limit,) = tree.xpath("//*[@name='PriorApplicationsType']//*[@name='priorApplication']/@maxOccurs")
    assert (int(limit), rules._SHARE) == (rules._GATHERED, 50)
    assert rules._SHARE * len(register().active(Role.REG)) <= rules._GATHERED


async def test_a_region_without_result_is_a_missing_source(hub: Hub):
    hub.answering["FLANDERS"] = without_result
    answered = await ask(hub)
    assert (answered.texts("value"), answered.texts("code")) == (["DATA_FOUND"], ["WIB00200"])
    assert answered.texts("fieldValue") == ["FLANDERS"]
    assert answered.texts("region") == ["WALLONIA", "GERMAN_COMMUNITY"]
    last = hub.entries()[-1]
    assert last["decision"] == "incomplete"
    assert str(register().by_id["FLANDERS"].enterprise) not in last["to"]


async def test_a_region_without_data_has_answered(hub: Hub):
    hub.answering["FLANDERS"] = without_data
    answered = await ask(hub)
    assert answered.texts("code") == ["WIB00000"]
    assert hub.entries()[-1]["decision"] == "released"


async def test_nothing_found_beside_a_region_without_result_is_incomplete(hub: Hub):
    hub.answering = {"FLANDERS": without_result, "WALLONIA": without_data, "GERMAN_COMMUNITY": without_data}
    answered = await ask(hub)
    assert (answered.texts("value"), answered.texts("code")) == (["NO_DATA_FOUND"], ["WIB00200"])


async def test_regions_that_are_all_without_result_are_no_answer(hub: Hub):
    hub.answering = dict.fromkeys(REGIONS, without_result)
    answered = await ask(hub)
    assert (answered.texts("value"), answered.texts("code")) == (["NO_RESULT"], ["WIB00300"])


async def test_a_fault_beside_regions_without_result_is_the_reply(hub: Hub):
    hub.answering = {"FLANDERS": without_result, "WALLONIA": html, "GERMAN_COMMUNITY": without_result}
    assert (await ask(hub)).code == "WIB09004"
    hub.answering["GERMAN_COMMUNITY"] = answer_well
    assert (await ask(hub)).texts("fieldValue") == ["FLANDERS", "WALLONIA"]
