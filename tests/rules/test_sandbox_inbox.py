"""The inbox of a reference back office: each delivery once, in the order in which it was taken over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.agreement.messages import Customer, OnBehalf, Question
from gateway.agreement.notices import Notice
from gateway.model import (
    Criteria,
    DossierNumber,
    Enterprise,
    ExchangeId,
    LegalContext,
    OperationName,
    Role,
    Ticket,
)
from gateway.sandbox.inbox import Inbox

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
HUB, SENDER = Enterprise("0999099901"), Enterprise("0999022202")


def notice(ticket: str, exchange: str) -> Notice:
    question = Question(
        OperationName("notifyWorkDecision"),
        Customer(Ticket(ticket), NOW, HUB),
        OnBehalf(ExchangeId(exchange), NOW, SENDER, Role.REG),
        LegalContext("WIB:WORK_DECISION"),
        Criteria(DossierNumber("WIB-2026-0000001-59")),
    )
    return Notice(question, ("dossier/grounds/residence",), None)


@pytest.fixture
def inbox():
    return Inbox()


def test_what_comes_twice_is_entered_once(inbox):
    inbox.take(notice("delivery-1", "exchange-1"))
    inbox.take(notice("delivery-1", "exchange-1"))
    assert [one.ticket for one in inbox.messages] == ["delivery-1"]


def test_same_content_under_another_ticket_is_another_message(inbox):
    inbox.take(notice("delivery-1", "exchange-1"))
    inbox.take(notice("delivery-2", "exchange-2"))
    assert [one.exchange for one in inbox.messages] == ["exchange-1", "exchange-2"]


def test_message_is_found_by_its_notification(inbox):
    inbox.take(notice("delivery-1", "exchange-1"))
    found = inbox.of("exchange-1")
    assert found is not None
    assert (found.legal_context, found.filtered) == ("WIB:WORK_DECISION", ("dossier/grounds/residence",))
    assert inbox.of("exchange-2") is None


def test_notification_without_its_sender_is_a_mistake_of_the_back_office(inbox):
    with pytest.raises(AssertionError):
        inbox.take(Notice(replace(notice("delivery-1", "exchange-1").question, on_behalf=None), (), None))
