"""The exchanges of a log against a draft of the agreement, counted: what it would refuse, allow, show and withhold.

One pass, in memory that grows with the agreement and the register, not with the log: of what comes alike only the
number is kept, and the first indices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from gateway.agreement.facts import delivering
from gateway.agreement.load import Agreement
from gateway.agreement.register import Register
from gateway.agreement.schema import leaves
from gateway.agreement.views import RECEIVED
from gateway.exchangelog.form import PERMITTED, Kind
from gateway.exchangelog.leaf import Leaf
from gateway.model import (
    Authority,
    AuthorityId,
    DossierScope,
    Enterprise,
    LegalContext,
    Node,
    OperationName,
    Role,
    View,
)
from gateway.policy.replay import About, Logged, Replayed, Unknown, hearing, replay
from gateway.policy.simulated import FieldChange, Outcome, Tally, Verdict
from gateway.refusal import Code

# What the agreement decides. Every other refusal would be the same under any: form, signature, provider, gateway.
_BY_AGREEMENT: Final = frozenset(
    one.row.code
    for one in Code
    if one.row.code.startswith("WIB07")
    or one
    in {
        Code.STEP_UNKNOWN,
        Code.TRANSITION_DENIED,
        Code.DOSSIER_EXISTS,
        Code.ROUTE_UNKNOWN,
        Code.SENDER_RIGHT,
    }
)
Verdicts = Mapping[str, str | None]  # path → None when released, else the reason


@dataclass(frozen=True, slots=True)
class Past:
    """What store and directory still know about an entry."""

    agreement: Agreement | None  # of the revision that the entry names; None when it is not kept
    about: About
    scope: DossierScope | None
    now: datetime  # when it was decided, as near as is known
    verdicts: Verdicts | None = None  # of a release


class Simulation:
    """Takes the entries of a log in their order."""

    def __init__(self, draft: Agreement, register: Register) -> None:
        self._draft = draft
        self._register = register
        self._documents = delivering(draft)
        self.decisions = 0  # taken
        self.unchanged = 0  # of them
        self.beside = 0  # refused for a reason that no agreement changes
        self.outcomes: dict[Outcome, Tally] = {}
        self.fields: dict[FieldChange, Tally] = {}
        self.unknown: dict[Unknown, Tally] = {}

    def take(self, index: int, leaf: Leaf, past: Past) -> None:
        """One entry. What is no exchange, or the end of one, says nothing about an agreement."""
        match leaf.kind:
            case Kind.REQUEST | Kind.NOTIFICATION:
                self._decision(index, leaf, past)
            case Kind.REFUSAL if leaf.decision in _BY_AGREEMENT:
                self._decision(index, leaf, past)
            case Kind.REFUSAL:
                self.beside += 1
            case Kind.RESPONSE:
                self._response(index, leaf, past)
            case Kind.DELIVERY:
                self._delivery(index, leaf, past)

    def unreadable(self, index: int) -> None:
        """An entry that is none."""
        self._note(Unknown.ENTRY, index)

    def _decision(self, index: int, leaf: Leaf, past: Past) -> None:
        self.decisions += 1
        logged = self._logged(leaf, past)
        if isinstance(logged, Unknown):
            self._note(logged, index)
            return
        replayed = self._replayed(logged, past)
        for unknown in replayed.unknown:
            self._note(unknown, index)
        if not replayed.answers:
            return
        if leaf.kind is Kind.NOTIFICATION and None in replayed.codes:
            self._heard(index, leaf, logged, past)
        verdict = _verdict(logged, replayed)
        if verdict is None:
            self.unchanged += 1
            return
        draft = tuple(sorted(PERMITTED if one is None else one.row.code for one in replayed.codes))
        outcome = Outcome(
            verdict, logged.authority.id, logged.operation, logged.legal_context, logged.decision, draft
        )
        self.outcomes.setdefault(outcome, Tally()).add(index)

    def _heard(self, index: int, leaf: Leaf, logged: Logged, past: Past) -> None:
        """Who may hear of it by the draft, and could not by the revision of that time; and the other way round."""
        assert past.agreement is not None  # else nothing was replayed
        then, draft = hearing(logged, past.agreement), hearing(logged, self._draft)
        told = {one.id for one in map(self._party, leaf.to) if one is not None}
        lost = {one for one in then - draft if one[0] in told and self._has_view(logged, *one)}
        for verdict, found in ((Verdict.MAY_BE_TOLD, draft - then), (Verdict.MAY_BE_UNTOLD, lost)):
            for name, context in sorted(found):
                changed = Outcome(verdict, name, logged.operation, context, logged.decision, ())
                self.outcomes.setdefault(changed, Tally()).add(index)

    def _has_view(self, logged: Logged, name: AuthorityId, context: LegalContext) -> bool:
        """Where the draft has none, the delivery says so."""
        recipient, sender = self._register.by_id[name].role, logged.authority.role
        assert recipient is not None  # of the register's authorities each has one
        return (logged.operation, recipient, context, sender, None) in self._draft.views

    def _response(self, index: int, leaf: Leaf, past: Past) -> None:
        """What it showed against what the draft would show; where that refuses, the decision said so."""
        logged = self._logged(leaf, past, PERMITTED)
        if isinstance(logged, Unknown) or past.verdicts is None or logged.operation in self._documents:
            return
        replayed = self._replayed(logged, past)
        views = {one.view for one in replayed.answers if one.view is not None}
        if replayed.codes == {None} and len(views) == 1:
            self._compare(index, logged.authority, leaf, past, views.pop())

    def _delivery(self, index: int, leaf: Leaf, past: Past) -> None:
        sender, recipient = self._party(leaf.caller), self._party(leaf.to[0])
        if sender is None or recipient is None or past.agreement is None or past.verdicts is None:
            self._note(Unknown.PARTY if past.agreement else Unknown.REVISION, index)
            return
        assert sender.role is not None  # of the register's authorities each has one
        assert recipient.role is not None
        operation, context = _asked(leaf)
        view = self._draft.views.get((operation, recipient.role, context, sender.role, None))
        if view is None:
            gone = Outcome(Verdict.UNTOLD, recipient.id, operation, context, leaf.decision, ())
            self.outcomes.setdefault(gone, Tally()).add(index)
        else:
            self._compare(index, recipient, leaf, past, view)

    def _compare(self, index: int, shown_to: Authority, leaf: Leaf, past: Past, view: View) -> None:
        assert past.verdicts is not None
        assert past.agreement is not None
        operation, context = _asked(leaf)
        then = past.agreement.operations.get(operation)
        if then is None:
            return
        for name, gained, reason in _changed(past.verdicts, then.messages.payload, view):
            change = FieldChange(shown_to.id, context, operation, name, gained, reason)
            self.fields.setdefault(change, Tally()).add(index)

    def _logged(self, leaf: Leaf, past: Past, decision: str | None = None) -> Logged | Unknown:
        """`decision`: in place of the entry's own."""
        authority = self._party(leaf.caller)
        if authority is None or self._asked_somebody_gone(leaf):
            return Unknown.PARTY
        if leaf.operation is None or leaf.legal_context is None:
            return Unknown.CONTEXT
        operation, context = _asked(leaf)
        return Logged(
            authority,
            operation,
            context,
            leaf.decision if decision is None else decision,
            self._asked_role(leaf),
            past.about,
            past.scope,
            past.now,
        )

    def _replayed(self, logged: Logged, past: Past) -> Replayed:
        if past.agreement is None:
            return Replayed(frozenset(), frozenset({Unknown.REVISION}))
        return replay(logged, past.agreement, self._draft, self._register)

    def _asked_somebody_gone(self, leaf: Leaf) -> bool:
        """Whose file it was cannot be told then. A notification names its recipients there."""
        asked = set(leaf.to) if leaf.kind in {Kind.REQUEST, Kind.RESPONSE} else set[str]()
        return None in map(self._party, asked - {str(self._register.hub.enterprise)})

    def _asked_role(self, leaf: Leaf) -> Role | None:
        """Of a consultation; a notification names its recipients there."""
        if leaf.kind not in {Kind.REQUEST, Kind.RESPONSE}:
            return None
        roles = {one.role for one in map(self._party, leaf.to) if one is not None}
        return roles.pop() if len(roles) == 1 else None

    def _party(self, enterprise: str) -> Authority | None:
        return self._register.by_enterprise(Enterprise.parse(enterprise))

    def _note(self, unknown: Unknown, index: int) -> None:
        self.unknown.setdefault(unknown, Tally()).add(index)


def _asked(leaf: Leaf) -> tuple[OperationName, LegalContext]:
    assert leaf.operation is not None  # the closed form, or `_logged`
    assert leaf.legal_context is not None
    return OperationName(leaf.operation), LegalContext(leaf.legal_context)


def _verdict(logged: Logged, replayed: Replayed) -> Verdict | None:
    """None: the draft decides as the log says."""
    codes = replayed.codes
    if logged.granted:
        if codes == {None}:
            return Verdict.ELSEWHERE if replayed.elsewhere else None
        return Verdict.MAY_BE_REFUSED if None in codes else Verdict.REFUSED
    if None in codes:
        return Verdict.ALLOWED if codes == {None} else Verdict.MAY_BE_ALLOWED
    same = {one.row.code for one in codes if one is not None} == {logged.decision}
    return None if same else Verdict.OTHERWISE


def _changed(verdicts: Verdicts, payload: Node, view: View) -> Iterator[tuple[str, bool, str | None]]:
    """Field, whether it is gained, and why it is withheld by the other of the two.

    `verdicts`: of the release; `payload`: of its revision. What the recipient of a rectification never received
    follows from the log, and would be withheld by the draft as well. Several paths may be of one field.
    """
    before, after = _fields(payload), _fields(view.payload)
    gained = {
        (after.get(path, path), verdicts.get(path))
        for path, reason in view.verdicts.items()
        if reason is None and verdicts.get(path, "") not in {None, RECEIVED}
    }
    lost = {
        (before.get(path, path), view.verdicts.get(path))
        for path, reason in verdicts.items()
        if reason is None and view.verdicts.get(path, "") is not None
    }
    yield from ((name, True, reason) for name, reason in sorted(gained, key=str))
    yield from ((name, False, reason) for name, reason in sorted(lost, key=str))


@lru_cache(maxsize=256)
def _fields(payload: Node) -> Mapping[str, str]:
    """Path → field."""
    return {one.path: str(one.field) for one in leaves(payload) if one.field is not None}
