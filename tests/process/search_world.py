"""A store with exchanges of the real agreement about several persons, for the officer's search."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.login import login
from gateway.adapters.store_seeds import subject_of
from gateway.agreement.identifiers import dossier_number
from gateway.agreement.load import Agreement, load_agreement
from gateway.agreement.register import load_register
from gateway.cli import log
from gateway.exchangelog import entry
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.entry import Entry, Settling
from gateway.loading import contract_files
from gateway.model import (
    Accepted,
    Answer,
    Authority,
    AuthorityId,
    Caller,
    Criteria,
    Delivery,
    Dispatch,
    DossierNumber,
    DossierScope,
    LegalContext,
    Notification,
    OperationName,
    Outcome,
    Permitted,
    Recipient,
    Refused,
    Released,
    Request,
    Settlement,
    SoapVersion,
    Ticket,
    Verified,
    View,
)
from gateway.policy.person import person_digest
from gateway.refusal import Code
from tests.exchanges import PLANS, exchange_id
from tests.process.store_world import KEY, open_store, query

ROOT = Path(__file__).parents[2]
NOW = datetime.fromisoformat("2026-03-14T15:09:26.535+00:00")
MINE, HERS = dossier_number(2026, 1), dossier_number(2026, 2)
SSIN, OTHER_SSIN, UNKNOWN_SSIN = "85073003328", "90010100123", "85073003229"
DIRECTORY_KEY = bytes(range(64, 96))
REGISTER = load_register((ROOT / "contracts/register.toml").read_bytes(), "register")


@cache
def agreement() -> Agreement:
    return load_agreement(contract_files(ROOT / "contracts"))


def party(name: str) -> Authority:
    return REGISTER.by_id[AuthorityId(name)]


def number(name: str) -> str:
    return str(party(name).enterprise)


def digest(ssin: str) -> bytes:
    return person_digest(DIRECTORY_KEY, ssin)


def _request(caller: Authority, operation: str, context: str, dossier: DossierNumber, ticket: str) -> Request:
    verified = Verified(
        SoapVersion.V11, b"<soap:Body/>", None, b"DER", b"signature", NOW, None, False, b"<soap:Envelope/>"
    )
    return Request(
        Caller(caller, verified),
        OperationName(operation),
        Ticket(ticket),
        NOW,
        LegalContext(context),
        Criteria(dossier),
    )


def _values(view: View) -> dict[str, tuple[str, ...]]:
    return {path: () for path, reason in view.verdicts.items() if reason is None}


def consultation(
    requester: str,
    provider: str,
    context: str,
    dossier: DossierNumber,
    *,
    operation: str = "consultDossier",
    at: datetime = NOW,
) -> list[Entry]:
    """The two entries of a question and its answer."""
    asks, answers = party(requester), party(provider)
    exchange, ticket = exchange_id(), exchange_id()
    request = _request(asks, operation, context, dossier, ticket)
    document = "CONTRACT" if operation == "retrieveDocument" else None
    view = agreement().view(request.operation, asks.role, request.legal_context, answers.role, document)
    permitted = Permitted(request, (answers,), view, {}, agreement().revision)
    answer = Answer(answers, Outcome.DATA_FOUND, None, b"signature of the provider")
    released = Released(permitted, Outcome.DATA_FOUND, "<s:dossier/>", _values(view), (answer,), ())
    return [
        entry.forwarded(permitted, exchange, at, os.urandom),
        entry.returned(released, exchange, at, os.urandom, PLANS),
    ]


def refusal(
    requester: str,
    dossier: DossierNumber,
    ssin: str | None = None,
    code: Code = Code.CRITERIA_DENIED,
    exchange: str | None = None,
) -> Entry:
    """`ssin`: who was asked about."""
    refused = Refused(
        party(requester),
        code.row.code,
        b"signature",
        OperationName("consultDossier"),
        LegalContext("WIB:RESIDENCE_DECISION"),
        dossier,
        agreement().revision,
        person=None if ssin is None else digest(ssin),
    )
    return entry.refused(refused, exchange or exchange_id(), NOW, os.urandom)


def notification(
    sender: str, recipients: Sequence[tuple[str, str]], dossier: DossierNumber, *ends: Settlement | None
) -> list[Entry]:
    """A decision on work, and for each of the first recipients its delivery and how that ended, None: not yet."""
    tells, exchange, operation = party(sender), exchange_id(), OperationName("notifyWorkDecision")
    request = _request(tells, operation, "WIB:WORK_DECISION", dossier, exchange_id())
    to = tuple(Recipient(party(name), LegalContext(context)) for name, context in recipients)
    scope = DossierScope(dossier, "SINGLE_PERMIT", "FIRST", "WORK_GRANTED", NOW, ())
    accepted = Accepted(request, to, scope, 0, agreement().revision)
    entries = [entry.accepted(accepted, exchange, NOW, os.urandom)]
    for one, end in zip(to, ends, strict=False):
        waits = Notification(
            exchange, tells.id, operation, dossier, NOW, agreement().revision, "WORK_GRANTED", b""
        )
        delivery = Delivery(exchange_id(), waits, one.authority.id, one.legal_context, 0, False)
        view = agreement().view(operation, one.authority.role, one.legal_context, tells.role)
        dispatch = Dispatch(
            delivery, tells, one.authority, view, "<d:x/>", _values(view), agreement().revision
        )
        entries.append(entry.delivered(dispatch, delivery.id, NOW, os.urandom, PLANS))
        if end is not None:
            signature = b"signature" if end is Settlement.ACKNOWLEDGED else None
            numbers = str(tells.enterprise), str(one.authority.enterprise)
            settling = Settling.of(delivery, *numbers, end, agreement().revision, signature)
            entries.append(entry.settled(settling, delivery.id, NOW, os.urandom))
    return entries


async def fill(path: Path, entries: Sequence[Entry]) -> None:
    """MINE is bound to SSIN, HERS to OTHER_SSIN; then the entries, one after the other, so that the order is known."""
    async with open_store(path) as store:
        for dossier, ssin in ((MINE, SSIN), (HERS, OTHER_SSIN)):
            scope = DossierScope(dossier, "SINGLE_PERMIT", "FIRST", "UNDER_REVIEW", NOW, ())
            await store.put_scope(replace(scope, person=digest(ssin)))
        for one in entries:
            await store.append(one)


def write_settings(directory: Path, store: Path, *officers: dict[str, object]) -> Path:
    """Settings of a hub with this store, its log key, its directory key and these officers."""
    text = (ROOT / "deploy/gateway.toml").read_text()
    rows = ", ".join(
        "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in one.items()) + " }"
        for one in officers
    )
    for pattern, new in (
        (r'"\.\./contracts"', f'"{ROOT}/contracts"'),
        (r'"\.\./contracts/register\.toml"', f'"{ROOT}/contracts/register.toml"'),
        (r'(?m)^store = "store\.db"', f'store = "{store}"'),
        (r'(?m)^origin = "[^"]*"', 'origin = "xlog.hub.example/2026"'),
        (r'"[^"]*/log\.key\.pem"', '"log.key.pem"'),
        (r'"[^"]*/directory\.key"', '"directory.key"'),
        (r"(?m)^test_numbers = false", "test_numbers = true"),
        (r'(?m)^bucket_keys = "[^"]*"', f'bucket_keys = "{store.parent}/bucket-keys"'),
        (r"(?m)^officers = \[\]", f"officers = [{rows}]"),
    ):
        text, times = re.subn(pattern, lambda _, new=new: new, text)
        assert times == 1, pattern
    (directory / "gateway.toml").write_text(text)
    log_key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, key in (("log.key.pem", log_key), ("directory.key", DIRECTORY_KEY)):
        (directory / name).write_bytes(key)
        (directory / name).chmod(0o600)
    return directory / "gateway.toml"


def officer(authority: str = "HUB", *rights: str, **change: object) -> dict[str, object]:
    """Whoever runs the tests."""
    usual = ("search", "person", "export")
    row = {"user": login(), "id": "officer-7", "authority": authority, "rights": list(rights or usual)}
    return row | change


def run(*arguments: object, typed: str | None = None):
    """A command of `gateway log`. `typed`: on its standard input."""
    return CliRunner().invoke(
        log.app, [str(argument) for argument in arguments], env={"COLUMNS": "200"}, input=typed
    )


def asked(*arguments: object):
    """The printed result of a command that succeeds."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def indices(*arguments: object) -> list[int]:
    """Of the entries that are listed, the newest first."""
    return [one["index"] for one in asked("list", *arguments)["entries"]]


def refused(*arguments: object) -> str:
    """The code with which a command fails, having printed nothing."""
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    return result.stderr[:6]


def opened(path: Path, index: int) -> bytes:
    """The seed of an entry's commitments."""
    ((bucket, wrapped),) = query(path, f"SELECT bucket, subject FROM seeds WHERE idx = {index}")
    return BucketKeys.open(path.parent / "bucket-keys").unwrap(
        Bucket.parse(bucket), wrapped, subject_of(index)
    )
