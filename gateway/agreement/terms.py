"""The compiled terms of the agreement: everything resolved, frozen, ready to be asked.

Made by `load` only. Whether a question may be asked is decided in `gateway.policy.decide`, from these terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from gateway.agreement.course import Course, Places, Routing
from gateway.agreement.schema import Contract, Messages
from gateway.model import (
    Authority,
    Enterprise,
    FieldId,
    LegalContext,
    OperationName,
    Pattern,
    Quota,
    Role,
    View,
)

# Operation, who receives, context, who provides (None: the hub), document type (None: not a document, or any type).
ViewKey = tuple[OperationName, Role, LegalContext, Role | None, str | None]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a term comes from: letters of the agreement's [bases], and how sure its drafters are."""

    basis: tuple[str, ...]
    certainty: str  # "C" seen in a source, "L" likely, "J" judgement
    note: str = ""


@dataclass(frozen=True, slots=True)
class Names:
    """A name in the languages of the country, and in English for the operator."""

    nl: str
    fr: str
    de: str
    en: str


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept."""

    log_years: int  # exchange log
    closed_dossier_days: int  # reading rights after a dossier was closed
    payload_days: int  # cap on stored messages that nobody fetched
    source: Source


@dataclass(frozen=True, slots=True)
class RoleQuota:
    """How often each authority of a role may send a message."""

    quota: Quota
    source: Source


@dataclass(frozen=True, slots=True)
class RoleTerms:
    """What holds for every authority of a role."""

    names: Names
    statuses: frozenset[str]  # machine states in which a dossier is open to the role
    source: Source
    quota: RoleQuota | None = None  # None: only the limits of the hub hold


@dataclass(frozen=True, slots=True)
class Context:
    """A legal context: a purpose, who may invoke it, and the field groups that it needs."""

    name: LegalContext
    purpose: str
    roles: frozenset[Role]
    groups: frozenset[str]
    permit_types: frozenset[str] | None  # None: every type
    procedures: frozenset[str] | None  # None: every procedure
    source: Source

    def applies(self, permit_type: str, procedure: str) -> bool:
        """Is the context meant for such a dossier?"""
        return (self.permit_types is None or permit_type in self.permit_types) and (
            self.procedures is None or procedure in self.procedures
        )


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the service: its messages, who provides, and who may call it in which contexts."""

    name: OperationName
    pattern: Pattern
    providers: tuple[Role, ...]  # the first is asked by default; of a notification the senders; (): the hub
    scatter: bool  # every authority of the role is asked, except the one that asks
    requesters: Mapping[Role, frozenset[LegalContext]]  # who may call; of a notification: the senders
    recipients: Mapping[Role, frozenset[LegalContext]]  # of a notification: from the steps; {} for others
    groups: frozenset[str] | None  # of a notification: the groups that it may carry; None: no such bound
    follows_log: bool  # it goes to whoever received the field before (GDPR art. 19), not by the course
    messages: Messages
    basis: tuple[str, ...]

    @property
    def hub(self) -> bool:
        """Does the hub answer by itself?"""
        return not self.providers


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the permitted-view matrix: what one role may provide and receive of one field group."""

    provide: frozenset[FieldId]
    receive: frozenset[FieldId]  # in every context that needs the group
    receive_under: Mapping[LegalContext, frozenset[FieldId]]  # in these contexts besides
    provide_in: Mapping[OperationName, frozenset[FieldId]]  # in these operations besides
    source: Source

    def receives(self, context: LegalContext) -> frozenset[FieldId]:
        """What may be received in this context, whether it needs the group or not."""
        return self.receive | self.receive_under.get(context, frozenset())

    @property
    def ever(self) -> frozenset[FieldId]:
        """What may be received in any context at all."""
        return self.receive.union(*self.receive_under.values())


@dataclass(frozen=True, slots=True)
class Group:
    """A field group: a row of the matrix."""

    code: str
    name: str
    purpose: str
    sensitivity: tuple[str, ...]  # articles of the GDPR that ask for more care
    fields: tuple[FieldId, ...]  # in the order of the schema
    cells: Mapping[Role, Cell]  # all six


@dataclass(frozen=True, slots=True)
class Matrix:
    """The permitted-view matrix, with its sums per role."""

    groups: Mapping[str, Group]
    _provides: Mapping[Role, frozenset[FieldId]]
    _provides_in: Mapping[tuple[Role, OperationName], frozenset[FieldId]]
    _ever: Mapping[Role, frozenset[FieldId]]
    _receives: Mapping[tuple[Role, LegalContext], frozenset[FieldId]]

    def provides(self, role: Role) -> frozenset[FieldId]:
        """Every field that the role may write."""
        return self._provides[role]

    def writes(self, role: Role, operation: Operation) -> frozenset[FieldId]:
        """What the role may write in the operation: of its groups, and what it may write there besides."""
        own = self.provides(role)
        if operation.groups is not None:
            own = frozenset(one for one in own if one.partition(".")[0] in operation.groups)
        return own | self._provides_in.get((role, operation.name), frozenset())

    def ever(self, role: Role) -> frozenset[FieldId]:
        """Every field that some cell lets the role receive."""
        return self._ever[role]

    def receives(self, role: Role, context: LegalContext) -> frozenset[FieldId]:
        """cell.receives(context) ∩ groups of the context; nothing when the role may not invoke it."""
        return self._receives.get((role, context), frozenset())


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """One revision of the protocol agreement, with the contract that it governs."""

    id: str
    title: str
    number: int
    valid_from: date
    parties: frozenset[Enterprise]  # who adopts it, each by signing it
    revision: str  # SHA-256 over all its files, hexadecimal
    retention: Retention
    bases: Mapping[str, str]
    roles: Mapping[Role, RoleTerms]
    permit_types: Mapping[str, Names]  # those that a context may name
    contexts: Mapping[LegalContext, Context]
    operations: Mapping[OperationName, Operation]
    documents: Mapping[str, FieldId]  # document type → the field that refers to such a document
    courses: Mapping[str, Course]
    routing: Routing
    places: Places
    matrix: Matrix
    contract: Contract
    files: Mapping[str, bytes]
    _views: Mapping[ViewKey, View]
    _released: Mapping[View, frozenset[FieldId]]
    _provided: Mapping[tuple[Role, OperationName, str | None], frozenset[FieldId]]

    @property
    def groups(self) -> Mapping[str, Group]:
        return self.matrix.groups

    @property
    def views(self) -> Mapping[ViewKey, View]:
        """Every permitted view, by what it is granted for."""
        return self._views

    @property
    def closed_read_days(self) -> int:
        """Days for which a closed dossier may still be read."""
        return self.retention.closed_dossier_days

    def view(
        self,
        operation: OperationName,
        requester: Role,
        context: LegalContext,
        provider: Role | None,
        document_type: str | None = None,
    ) -> View:
        """The permitted view. `requester`: who receives, of a notification its recipient; `context` is its own.
        `provider`: None when the hub answers; of a notification the sender's role.

        Without `document_type`, retrieveDocument has the view of a caller who may fetch some type of document:
        an answer to "what are my rights", never to a request, for which the schema demands the type.
        Raises KeyError for what no line of the agreement grants.
        """
        return self._views[operation, requester, context, provider, document_type]

    def released_fields(self, view: View) -> frozenset[FieldId]:
        """The fields that a view releases; for a document the field that refers to it."""
        return self._released[view]

    def provided(
        self, role: Role, operation: OperationName, document_type: str | None = None
    ) -> frozenset[FieldId]:
        """The fields of the operation's payload that the role may write; none when it is no provider."""
        return self._provided.get((role, operation, document_type), frozenset())

    def visible(self, role: Role) -> frozenset[FieldId]:
        """Every field of a group that the role may write, or be shown, in some exchange."""
        shown = (
            self._released[view] for (_, requester, *_), view in self._views.items() if requester is role
        )
        written = (fields for (provider, *_), fields in self._provided.items() if provider is role)
        return frozenset[FieldId]().union(*shown, *written) & self.contract.fields

    def quota(self, authority: Authority) -> Quota | None:
        """How often the authority may send a message: its own line of the register, or its role. None: no term."""
        if authority.quota is not None or authority.role is None:
            return authority.quota
        terms = self.roles[authority.role].quota
        return None if terms is None else terms.quota

    def course(self, permit_type: str, procedure: str) -> Course | None:
        """The one course of such dossiers, None when the agreement has none."""
        found = (
            one
            for one in self.courses.values()
            if permit_type in one.permit_types and procedure in one.procedures
        )
        return next(found, None)

    def may_hold(self, role: Role, field: FieldId) -> bool:
        """May the role provide the field, or receive it in some context?"""
        return field in self.matrix.provides(role) or field in self.matrix.ever(role)
