"""What the gateway writes is valid by the contract, canonical to the byte, and reads back as it was meant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.agreement import blocks, messages, notices
from gateway.agreement.messages import Customer, OnBehalf, Question, information_gateway
from gateway.agreement.notices import Heading
from gateway.agreement.schema import compile_contract
from gateway.agreement.views import REASONS
from gateway.model import (
    DOSSIER,
    SERVICE,
    Acknowledgement,
    Criteria,
    Enterprise,
    EntryProof,
    Outcome,
    Receipt,
    Role,
)
from gateway.refusal import Code, Refusal
from tests.rules.agreement_files import shipped_files

pytestmark = pytest.mark.no_cover  # the same lines, thousands of times

NUMBER = "WIB-2026-0000001-39"
UUID = "0190a2c4-5b6d-4e8f-9a0b-1c2d3e4f5061"
WHEN = datetime(2026, 11, 23, 10, 0, 0, 123000, UTC)
PAYLOAD = f'<s:dossier><d:workDecision xmlns:d="{DOSSIER}"><d:outcome>GRANTED</d:outcome></d:workDecision></s:dossier>'

enterprises = st.builds(
    Enterprise, st.from_regex(r"\A[01][0-9]{9}\Z"), st.none() | st.sampled_from(["PLATFORM", "POST-RABAT"])
)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
tickets = st.from_regex(r"\A[A-Za-z0-9._\-]{1,36}\Z")
uuids = st.uuids().map(str)
customers = st.builds(Customer, tickets, moments, enterprises, st.booleans())
nobody = st.none()
contexts = st.sampled_from(["WIB:WORK_DECISION", "WIB:CARD_ISSUE"])
paths = st.lists(st.from_regex(r"\A[a-z][A-Za-z0-9]{0,9}(/[a-z][A-Za-z0-9]{0,9})?\Z"), max_size=3).map(tuple)
proofs = st.builds(
    EntryProof,
    st.binary(min_size=1),
    st.none() | st.binary(min_size=32, max_size=32),
    st.lists(st.tuples(st.just("dossier/worker"), st.just(f"{'x' * 42}A")), max_size=3).map(tuple),
    st.lists(st.tuples(st.just("dossier/salary"), st.sampled_from(sorted(REASONS))), max_size=3).map(tuple),
)
receipts = st.none() | st.builds(
    Receipt,
    st.just("log.wib.example/exchange"),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=1),
    st.none() | proofs,
)
parties = st.builds(OnBehalf, uuids, moments, enterprises, st.sampled_from(Role), receipts)
headings = st.builds(Heading, st.sampled_from(["notifyCard", "closeDossier"]), contexts, moments, enterprises)
document = st.builds(
    Criteria,
    st.just(NUMBER),
    document_reference=st.just("DOC-1"),
    document_type=st.just("CONTRACT"),
    document_sha256=st.from_regex(r"\A[0-9a-f]{64}\Z"),
)
# Operation → what it may be about.
ABOUT = {
    "notifyWorkDecision": st.just(Criteria(NUMBER)),
    "closeDossier": st.just(Criteria(NUMBER)),
    "uploadDocument": document,
    "acknowledgeMessage": st.builds(Criteria, st.none(), message=uuids),
    "fetchMessage": st.builds(Criteria, st.none(), message=uuids),
    "listMessages": st.builds(Criteria, st.none(), after=st.none() | uuids, wait_seconds=st.integers(0, 30)),
    "retrieveDocument": document,
}


@cache
def contract():
    return compile_contract(shipped_files())


def questions(*operations: str, on_behalf=nobody):
    return st.one_of(
        st.builds(Question, st.just(name), customers, on_behalf, contexts, ABOUT[name]) for name in operations
    )


def element(written: str) -> etree._Element:
    """The element of what was written, after checking that it is canonical and valid."""
    parsed = etree.fromstring(written)
    assert etree.tostring(parsed, method="c14n", exclusive=True) == written.encode()
    contract().validate(parsed, Code.SCHEMA)
    return parsed


@given(questions("notifyWorkDecision", "closeDossier", on_behalf=nobody | parties), paths)
def test_a_notification_reads_back(question, filtered):
    read = notices.read_notification(element(notices.write_notification(question, filtered, PAYLOAD)))
    assert (read.question, read.filtered) == (question, filtered)
    assert read.payload is not None
    assert read.payload.tag == f"{{{SERVICE}}}dossier"
    assert "".join(read.payload.itertext()) == "GRANTED"


@given(questions("notifyWorkDecision", "uploadDocument"), paths)
def test_a_notification_that_tells_nothing_has_no_payload(question, filtered):
    read = notices.read_notification(element(notices.write_notification(question, filtered, "")))
    assert (read.filtered, read.payload) == (filtered, None)


@given(questions("retrieveDocument", "listMessages", "fetchMessage", "acknowledgeMessage"))
def test_a_question_reads_back_and_tells_nothing(question):
    written = element(messages.write_question(question))
    assert messages.read_question(written) == question
    assert notices.read_notification(written) == notices.Notice(question, (), None)


@given(
    questions("notifyWorkDecision", "uploadDocument", "acknowledgeMessage"),
    receipts,
    st.sampled_from(Acknowledgement),
)
def test_an_acknowledgement_reads_back(question, receipt, value):
    gateway = information_gateway(UUID, WHEN, WHEN, receipt)
    for block in ("", gateway):
        read = notices.read_acknowledgement(element(notices.write_acknowledgement(question, block, value)))
        assert read.ticket == question.customer.ticket
        assert (read.legal_context, read.criteria) == (question.legal_context, question.criteria)
        assert read.value is value


@given(questions("acknowledgeMessage"), receipts)
def test_what_a_reply_says_of_its_entry_reads_back(question, receipt):
    gateway = information_gateway(UUID, WHEN, WHEN, receipt)
    written = element(notices.write_acknowledgement(question, gateway, Acknowledgement.OK))
    assert blocks.read_receipt(written[1]) == receipt


@given(questions("listMessages"), st.lists(st.tuples(uuids, headings), max_size=5), st.booleans())
def test_a_list_of_messages_is_valid_and_canonical(question, waiting, more):
    listed = notices.write_messages(waiting, more=more)
    gateway = information_gateway(UUID, WHEN, WHEN, None)
    written = element(messages.write_reply(question, gateway, notices.listed(waiting), (), listed))
    read = messages.read_reply(written)
    assert (read.outcome is Outcome.DATA_FOUND) == bool(waiting) == (read.payload is not None)
    found = [] if read.payload is None else read.payload.findall(f"{{{SERVICE}}}message")
    assert [one.findtext(f"{{{SERVICE}}}messageId") for one in found] == [message for message, _ in waiting]
    assert [one.findtext(f"{{{SERVICE}}}operation") for one in found] == [one.operation for _, one in waiting]
    assert {one.findtext(f"{{{SERVICE}}}more") for one in written.iter(f"{{{SERVICE}}}messages")} <= {
        str(more).lower()
    }


@given(questions("fetchMessage"), headings, receipts, paths, st.sampled_from(["", PAYLOAD]))
def test_a_fetched_message_is_valid_and_canonical(question, heading, receipt, filtered, payload):
    gateway = information_gateway(UUID, WHEN, WHEN, receipt)
    written = element(notices.write_message(question, gateway, heading, NUMBER, filtered, payload))
    names = [child.tag.removeprefix(f"{{{SERVICE}}}") for child in written]
    assert names[4:] == [
        "status",
        *(["dataFilters"] if filtered else []),
        "notification",
        *(["dossier"] if payload else []),
    ]
    told = written.find(f"{{{SERVICE}}}notification")
    assert told.findtext(f"{{{SERVICE}}}operation") == heading.operation
    assert told.findtext(f"{{{SERVICE}}}sender/{{*}}cbeNumber") == heading.sender.cbe
    assert told.findtext(f"{{{SERVICE}}}sender/{{*}}unit") == heading.sender.unit
    assert told.findtext(f"{{{SERVICE}}}dossierNumber") == NUMBER


def test_more_than_a_page_of_messages_is_no_message_of_the_contract():
    question = Question(
        "listMessages",
        Customer("T-1", WHEN, Enterprise("0999022202")),
        None,
        "WIB:CARD_ISSUE",
        Criteria(None),
    )
    waiting = [(UUID, Heading("notifyCard", "WIB:CARD_ISSUE", WHEN, Enterprise("0999022202")))] * 51
    listed = notices.write_messages(waiting, more=True)
    written = etree.fromstring(messages.write_reply(question, "", notices.listed(waiting), (), listed))
    with pytest.raises(Refusal):
        contract().validate(written, Code.SCHEMA)


def test_a_time_without_zone_is_no_notification():
    question = Question(
        "notifyCard",
        Customer("T-1", WHEN, Enterprise("0999022202")),
        None,
        "WIB:CARD_ISSUE",
        Criteria(NUMBER),
    )
    written = notices.write_notification(question, (), PAYLOAD)
    with pytest.raises(ValueError, match="2026"):
        notices.read_notification(etree.fromstring(written.replace("10:00:00.123Z", "10:00:00.123")))
    moved = replace(question.customer, sent=WHEN.replace(hour=9))
    other = etree.fromstring(written.replace("10:00:00.123Z", "10:00:00.123+01:00"))
    assert notices.read_notification(other).question.customer == moved
