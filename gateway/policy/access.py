"""What the hub answers by itself: the echo, and checkAccessControl (PROTOCOL §7.6).

checkAccessControl tells an authority what it may do, and why not, by asking the very rules that will decide.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.agreement.load import Agreement
from gateway.model import (
    SERVICE,
    Authority,
    Criteria,
    FieldId,
    LegalContext,
    OperationName,
    Pattern,
    Permitted,
)
from gateway.policy.decide import Facts, grant, require_mailbox
from gateway.policy.notify import sendable
from gateway.refusal import Refusal
from gateway.soap.xml import text


def own_payload(permitted: Permitted, facts: Facts) -> str:
    """The payload element of an operation that the hub answers itself, in canonical form."""
    request = permitted.request
    namespace = f' xmlns:s="{SERVICE}"'
    if request.criteria.echo is not None:
        return f"<s:echo{namespace}>{text(request.criteria.echo)}</s:echo>"
    rows = "".join(_rows(request.caller.authority, request.criteria, facts))
    return f"<s:accessControl{namespace}>{rows}</s:accessControl>"


def _rows(authority: Authority, asked: Criteria, facts: Facts) -> Iterator[str]:
    """One row for each operation and legal context; fields only when one operation is asked about."""
    names = [asked.operation] if asked.operation else list(facts.agreement.operations)
    for name in names:
        if name not in facts.agreement.operations:
            continue
        for context in facts.agreement.contexts:
            yield _row(authority, name, LegalContext(context), asked, facts)


def _row(
    authority: Authority, name: OperationName, context: LegalContext, asked: Criteria, facts: Facts
) -> str:
    head = f"<s:operation>{text(name)}</s:operation><s:legalContext>{text(context)}</s:legalContext>"
    try:
        granted = _fields(authority, name, context, asked, facts)
    except Refusal as refusal:
        body = f"<s:permitted>false</s:permitted><s:code>{refusal.code.row.code}</s:code>"
        return f"<s:access>{head}{body}</s:access>"
    fields = sorted(granted) if asked.operation else []
    shown = "".join(f"<s:field>{text(field)}</s:field>" for field in fields)
    return f"<s:access>{head}<s:permitted>true</s:permitted>{shown}</s:access>"


def _fields(
    authority: Authority, name: OperationName, context: LegalContext, asked: Criteria, facts: Facts
) -> frozenset[FieldId]:
    """What the authority would be shown, or, of what it tells or uploads, may write. Raises Refusal."""
    agreement = facts.agreement
    if agreement.operations[name].pattern is Pattern.NOTIFY:
        return sendable(authority, name, context, asked.dossier, facts)
    granted = grant(authority, name, context, Criteria(asked.dossier, asked.source), facts)
    match agreement.operations[name].pattern:
        case Pattern.UPLOAD:
            return _uploadable(authority, name, agreement)
        case Pattern.MAILBOX:
            require_mailbox(authority)
    return agreement.released_fields(granted.view)


def _uploadable(authority: Authority, name: OperationName, agreement: Agreement) -> frozenset[FieldId]:
    """The fields that refer to documents of the types that the authority may upload."""
    role = authority.role
    assert role is not None  # `grant` refuses a caller without role
    types = agreement.documents.items()
    return frozenset(field for kind, field in types if agreement.provided(role, name, kind))
