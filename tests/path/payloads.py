"""Payload elements of honest providers, in canonical form: fixed, plainly fictitious data of one worker."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from gateway.agreement.messages import Question
from gateway.model import DOSSIER as DOSSIER_NS
from gateway.model import SERVICE, Authority, Role

DOCUMENT = b"%PDF-1.7 a contract between fictitious parties"
DIGEST = hashlib.sha256(DOCUMENT).hexdigest()
CANARY = "Zyxwvutsrq"  # the family name: found nowhere but in payloads
S, D = f' xmlns:s="{SERVICE}"', f' xmlns:d="{DOSSIER_NS}"'

GROUPS: dict[Role, dict[str, dict[str, str]]] = {
    Role.PLAT: {
        "header": {"permitType": "SINGLE_PERMIT", "procedure": "FIRST", "language": "nl", "competentRegion": "BRUSSELS"},
        "worker": {"ssin": "90612400144", "familyName": CANARY, "givenNames": "Ada", "birthDate": "1990-00-00"},
        "contact": {"email": "ada@example.org"},
        "travelDocument": {"number": "XX1234567", "expiryDate": "2031-05-01"},
        "employer": {"cbeNumber": "0999066643", "name": "Fictitious NV"},
        "salary": {"amount": "4120.50", "period": "MONTH", "currency": "EUR"},
        "feePayment": {"amount": "358.00"},
    },
    Role.OE: {"residenceDecision": {"outcome": "GRANTED", "date": "2026-05-20"}},
    Role.REG: {"workDecision": {"outcome": "GRANTED", "date": "2026-05-10"}},
    Role.CONS: {},
    Role.MUN: {},
    Role.NSSO: {},
}  # fmt: skip


def elements(groups: dict[str, dict[str, str]]) -> str:
    return "".join(
        f"<d:{group}{D}>{''.join(f'<d:{name}>{value}</d:{name}>' for name, value in fields.items())}</d:{group}>"
        for group, fields in groups.items()
    )


def dossier(asked: Question, provider: Authority) -> str:
    groups = {name: dict(fields) for name, fields in GROUPS[provider.role].items()}
    if "header" in groups:
        groups["header"] = {"dossierNumber": str(asked.criteria.dossier), **groups["header"]}
    return f"<s:dossier>{elements(groups)}</s:dossier>"


def header(asked: Question, provider: Authority) -> str:
    return f"<s:header><d:dossierNumber{D}>{asked.criteria.dossier}</d:dossierNumber><d:status{D}>UNDER_REVIEW</d:status></s:header>"


def social_security(asked: Question, provider: Authority) -> str:
    return f"<s:socialSecurity><d:declared{D}>true</d:declared></s:socialSecurity>"


def prior_applications(asked: Question, provider: Authority) -> str:
    hit = f"<d:hit{D}>true</d:hit><d:region{D}>{provider.region}</d:region><d:outcome{D}>REFUSED</d:outcome>"
    return f"<s:priorApplications><s:priorApplication>{hit}</s:priorApplication></s:priorApplications>"


def document(asked: Question, provider: Authority) -> str:
    fields = {
        "reference": asked.criteria.document_reference,
        "type": asked.criteria.document_type,
        "mediaType": "application/pdf",
        "sha256": DIGEST,
        "content": base64.b64encode(DOCUMENT).decode(),
    }
    return f"<s:document>{''.join(f'<s:{name}>{value}</s:{name}>' for name, value in fields.items())}</s:document>"


PAYLOADS: dict[str, Callable[[Question, Authority], str]] = {
    "consultDossier": dossier,
    "consultStatus": header,
    "consultSocialSecurityStatus": social_security,
    "consultPriorApplications": prior_applications,
    "retrieveDocument": document,
}
