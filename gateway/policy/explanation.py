"""What happened to one exchange, and by which rule: for the officer, or for the authority whose exchange it is.

An authority is told of what it asked, told or received itself, and of that no more than the gateway told it: not who
else took part, not what the directory says of a dossier, not which field a cell withholds from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.agreement.facts import delivering
from gateway.agreement.load import Agreement, Operation
from gateway.agreement.register import Register
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.model import (
    Authority,
    AuthorityId,
    DossierScope,
    Enterprise,
    ExchangeId,
    LegalContext,
    OperationName,
    Role,
)
from gateway.policy.clause import Clause, clause, granted_purpose
from gateway.policy.decide import is_inscribed
from gateway.policy.replay import About
from gateway.policy.shown import Shown, shown
from gateway.policy.stages import Reached, reached
from gateway.refusal import Code

EXCHANGES: Final = frozenset(
    {Kind.REQUEST, Kind.RESPONSE, Kind.REFUSAL, Kind.NOTIFICATION, Kind.DELIVERY, Kind.SETTLEMENT}
)
_DELIVERED: Final = frozenset({Kind.DELIVERY, Kind.SETTLEMENT})
_BY_CODE: Final[Mapping[str, Code]] = {code.row.code: code for code in Code}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One entry of the exchange."""

    index: int
    leaf: Leaf
    verdicts: Mapping[str, str | None] | None  # of a release: path → None, or the reason


@dataclass(frozen=True, slots=True)
class Standing:
    """The dossier at that moment, by the directory. Never for an outsider."""

    about: About
    scope: DossierScope | None  # None: the directory did not know it
    takes_part: bool  # the authority that asked or told


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a notification for one of its recipients, by the queue. Never for an outsider."""

    recipient: AuthorityId
    id: ExchangeId
    state: str  # waiting, dead, settled
    attempts: int  # that failed; of a mailbox: fetches
    last_code: str | None  # why the last attempt failed


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked or told what, and under which revision; None for what is not known, or not kept."""

    authority: Authority | None
    operation: OperationName | None
    legal_context: LegalContext | None
    agreement: Agreement | None

    @property
    def role(self) -> Role | None:
        """Of the authority."""
        return None if self.authority is None else self.authority.role

    @property
    def terms(self) -> Operation | None:
        """Of the operation, in that revision."""
        if self.operation is None or self.agreement is None:
            return None
        return self.agreement.operations.get(self.operation)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One exchange."""

    entries: Sequence[Evidence]
    asked: Asked
    code: Code | None  # why it was refused
    stages: Sequence[Reached]
    clause: Clause | None
    shown: Sequence[Shown]
    declared: (
        Sequence[str] | None
    )  # what the reply said that it withholds; None: there is none, or it is not known
    standing: Standing | None
    deliveries: Sequence[Delivered] = ()


def own(leaf: Leaf, authority: Authority) -> bool:
    """Did the authority ask or tell this, or was it delivered to it?"""
    name = str(authority.enterprise)
    return leaf.to == (name,) if leaf.kind in _DELIVERED else leaf.caller == name


def code_of(text: str) -> Code | None:
    """The refusal that a decision is; None for any other."""
    return _BY_CODE.get(text)


def explain(
    entries: Sequence[Evidence],
    agreement: Agreement | None,
    register: Register,
    dossier: tuple[About, DossierScope | None, datetime] | None,
    deliveries: Sequence[Delivered] = (),
) -> Explanation:
    """`entries`: of one exchange, at least one, those that may be told; `agreement`: of their revision.

    `dossier`: what the directory says of that moment, and which that is; with `deliveries` for the officer alone.
    """
    first = entries[0].leaf
    asked = Asked(
        register.by_enterprise(Enterprise.parse(_asking(first))),
        None if first.operation is None else OperationName(first.operation),
        None if first.legal_context is None else LegalContext(first.legal_context),
        agreement,
    )
    code = next((code_of(one.leaf.decision) for one in entries if one.leaf.kind is Kind.REFUSAL), None)
    release = next((one for one in entries if one.verdicts is not None), None)
    return Explanation(
        entries=entries,
        asked=asked,
        code=code,
        stages=_stages(entries, code, asked),
        clause=None if code is None else _clause(code, asked),
        shown=_shown(release, register, agreement),
        declared=_declared(release, register, agreement),
        standing=None if dossier is None else _standing(*dossier, asked.authority),
        deliveries=deliveries,
    )


def _asking(leaf: Leaf) -> str:
    """Who asked: of a delivery that nobody asked for its recipient, whose exchange it is."""
    return leaf.to[0] if leaf.kind in _DELIVERED else leaf.caller


def _stages(entries: Sequence[Evidence], code: Code | None, asked: Asked) -> Sequence[Reached]:
    """None for a delivery to an endpoint: nothing was asked."""
    kinds = {one.leaf.kind for one in entries}
    if kinds <= _DELIVERED:
        return ()
    return reached(asked.terms, kinds, code, purpose=code is Code.CONTEXT_DENIED and _purpose(asked))


def _purpose(asked: Asked) -> bool:
    if asked.role is None or asked.operation is None or asked.agreement is None:
        return False
    return granted_purpose(asked.role, asked.operation, asked.legal_context, asked.agreement)


def _clause(code: Code, asked: Asked) -> Clause | None:
    if asked.role is None or asked.operation is None or asked.agreement is None:
        return None
    return clause(code, asked.role, asked.operation, asked.legal_context, asked.agreement)


def _parties(release: Evidence, register: Register) -> tuple[Role | None, Role | None]:
    """The roles of who received, and of who provided or told; of the hub None."""
    leaf = release.leaf
    delivered = leaf.kind is Kind.DELIVERY
    to, by = (leaf.to[0], leaf.caller) if delivered else (leaf.caller, next(iter(leaf.to), leaf.caller))
    recipient, provider = (register.by_enterprise(Enterprise.parse(one)) for one in (to, by))
    return (
        None if recipient is None else recipient.role,
        None if provider is None else provider.role,
    )


def _shown(release: Evidence | None, register: Register, agreement: Agreement | None) -> Sequence[Shown]:
    if release is None or release.leaf.operation is None or agreement is None:
        return ()
    recipient, provider = _parties(release, register)
    if recipient is None or release.verdicts is None:
        return ()
    return shown(release.verdicts, OperationName(release.leaf.operation), recipient, provider, agreement)


def _declared(
    release: Evidence | None, register: Register, agreement: Agreement | None
) -> Sequence[str] | None:
    """KSZ filteredElement, from the view of that revision; that of a document goes by its type, which is not kept."""
    if release is None or agreement is None:
        return None
    leaf, (recipient, provider) = release.leaf, _parties(release, register)
    if leaf.operation is None or leaf.legal_context is None or recipient is None:
        return None
    operation, context = OperationName(leaf.operation), LegalContext(leaf.legal_context)
    view = agreement.views.get((operation, recipient, context, provider, None))
    return None if view is None or operation in delivering(agreement) else view.filtered


def _standing(
    about: About, scope: DossierScope | None, moment: datetime, authority: Authority | None
) -> Standing:
    part = scope is not None and authority is not None and is_inscribed(scope, authority, moment)
    return Standing(about, scope, part)
