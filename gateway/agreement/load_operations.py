"""[operations] of the agreement → what may be asked, told and fetched, by whom and in which contexts.

The pattern follows from the row: what has `senders` is told to others, or with `providers = "HUB"` uploaded to
be kept; "MAILBOX" hands over what waits; everything else is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.agreement import rows
from gateway.agreement.blocks import CRITERIA
from gateway.agreement.finding import Findings
from gateway.agreement.load_words import Words
from gateway.agreement.rows import OperationRow, is_known, resolve
from gateway.agreement.schema import Contract, Messages, leaves
from gateway.agreement.terms import Context, Operation
from gateway.agreement.views import is_document
from gateway.model import LegalContext, Node, OperationName, Pattern, Role

# What the gateway answers by itself, and from a mailbox.
_OWN: Final[Mapping[str, frozenset[str]]] = {
    "HUB": frozenset({"sendTestMessage", "checkAccessControl"}),
    "MAILBOX": frozenset({"listMessages", "fetchMessage", "acknowledgeMessage"}),
}
_DOSSIER: Final = frozenset({"dossierNumber"})
_DOCUMENT: Final = frozenset({"documentReference", "documentType", "documentSha256"})


def load_operations(
    tables: rows.Table, contract: Contract, words: Words, findings: Findings
) -> dict[OperationName, Operation]:
    """Every operation of the contract, and no other. Their recipients follow from the courses."""
    entries = rows.entries(tables, "operations", findings)
    for name in sorted(set(contract.messages) - set(entries)):
        findings.add(f"operations.{name}", "the contract has this operation, the agreement does not")
    found = {
        name: _Reader(f"operations.{name}", contract, words, findings).operation(name, value)
        for name, value in entries.items()
    }
    return {OperationName(name): operation for name, operation in found.items() if operation is not None}


class _Reader:
    """Compiles the row of one operation."""

    def __init__(self, path: str, contract: Contract, words: Words, findings: Findings) -> None:
        self._path, self._contract, self._words, self._findings = path, contract, words, findings

    def operation(self, name: str, value: object) -> Operation | None:
        path, findings = self._path, self._findings
        row = rows.decode(value, OperationRow, path, findings)
        if row is None or not is_known(name, self._contract.messages, "operation", path, findings):
            return None
        messages, pattern = self._contract.messages[OperationName(name)], _pattern(row)
        if (row.senders is None) == (row.requesters is None):
            findings.add(path, "an operation has either requesters or senders")
        if (row.senders is not None) != messages.notification:
            findings.add(path, "senders, where the request ends with what is told; else requesters")
        callers = self._callers(row)
        providers = tuple(callers) if pattern is Pattern.NOTIFY else self._providers(row)
        if pattern is not Pattern.NOTIFY:
            self._check_answer(row, messages.payload)
        elif row.providers is not None or row.scatter:
            findings.add(path, "a notification has no providers: its senders are")
        self._check_own(name, row)
        self._check_criteria(pattern, messages, hub=row.providers == "HUB")
        return Operation(
            name=OperationName(name),
            pattern=pattern,
            providers=providers,
            scatter=row.scatter,
            requesters=callers,
            recipients={},
            groups=self._groups(row, pattern),
            follows_log=row.follows_log,
            messages=messages,
            basis=resolve(row.basis, self._words.bases, "basis", f"{path}.basis", findings),
        )

    def _check_answer(self, row: OperationRow, payload: Node) -> None:
        if row.scatter and (not isinstance(row.providers, list) or len(row.providers) != 1):
            self._findings.add(f"{self._path}.scatter", "authorities of exactly one role are asked at once")
        if row.scatter and [one.repeated for one in payload.children] != [True]:
            self._findings.add(f"{self._path}.scatter", "of several answers only lists make one")
        holds = any(leaf.field is not None for leaf in leaves(payload))
        if row.follows_log:
            self._findings.add(f"{self._path}.follows_log", "only a notification can follow the log")
        if row.providers != "MAILBOX" and row.senders is None and (row.providers == "HUB") is holds:
            sentence = "the hub answers what holds no fields, and nothing else"
            self._findings.add(f"{self._path}.providers", sentence)

    def _check_own(self, name: str, row: OperationRow) -> None:
        """Nothing that is asked under another name may be taken for one of them."""
        if row.senders is None and isinstance(row.providers, str) and name not in _OWN[row.providers]:
            self._findings.add(f"{self._path}.providers", "the gateway has no answer of its own to it")

    def _check_criteria(self, pattern: Pattern, messages: Messages, *, hub: bool) -> None:
        """What the rules decide on is named by every request, and nothing that they do not know.

        Row scope goes by the dossier, the right to a document by its type: without one it would be that of any type.
        """
        document = any(is_document(one.field) for one in leaves(messages.payload) if one.field is not None)
        if document != (pattern is Pattern.UPLOAD) and pattern is not Pattern.CONSULT:
            self._findings.add(
                self._path, "a document is asked for or uploaded, and nothing else is uploaded"
            )
        about = pattern is not Pattern.MAILBOX and not (pattern is Pattern.CONSULT and hub)
        wanted = (_DOSSIER if about else frozenset()) | (_DOCUMENT if document else frozenset())
        for name in sorted(wanted - messages.demanded):
            self._findings.add(self._path, f"a request can leave out {name}, by which it is decided")
        for name in sorted(_criteria(messages) - CRITERIA):
            self._findings.add(self._path, f'no criterion "{name}" that the gateway could hand on')

    def _providers(self, row: OperationRow) -> tuple[Role, ...]:
        if isinstance(row.providers, str):
            return ()
        path = f"{self._path}.providers"
        if not row.providers:
            self._findings.add(path, 'no provider; write "HUB" when the gateway answers')
        names = resolve(row.providers or (), set(Role), "role", path, self._findings)
        return tuple(Role(name) for name in names)

    def _groups(self, row: OperationRow, pattern: Pattern) -> frozenset[str] | None:
        path = f"{self._path}.groups"
        if pattern is not Pattern.NOTIFY:
            if row.groups is not None:
                self._findings.add(path, "only a notification has groups")
            return None
        if row.groups == "all":
            return frozenset(self._contract.groups)
        if not row.groups:
            self._findings.add(path, 'a notification has groups that it may carry, or "all"')
        return frozenset(resolve(row.groups or (), self._contract.groups, "group", path, self._findings))

    def _callers(self, row: OperationRow) -> dict[Role, frozenset[LegalContext]]:
        what, callers = (
            ("senders", row.senders) if row.senders is not None else ("requesters", row.requesters)
        )
        return {
            Role(role): _contexts(
                Role(role), names, f"{self._path}.{what}.{role}", self._words.contexts, self._findings
            )
            for role, names in (callers or {}).items()
            if is_known(role, set(Role), "role", f"{self._path}.{what}.{role}", self._findings)
        }


def _criteria(messages: Messages) -> frozenset[str]:
    asked = (block for block in messages.request.children if block.name == "criteria")
    return frozenset(one.name for block in asked for one in block.children)


def _pattern(row: OperationRow) -> Pattern:
    if row.providers == "MAILBOX":
        return Pattern.MAILBOX
    if row.senders is None:
        return Pattern.CONSULT
    return Pattern.UPLOAD if row.providers == "HUB" else Pattern.NOTIFY


def _contexts(
    role: Role, value: object, path: str, contexts: Mapping[LegalContext, Context], findings: Findings
) -> frozenset[LegalContext]:
    """The contexts in which a role may call an operation: they exist, and the role may invoke them."""
    own = frozenset(name for name, context in contexts.items() if role in context.roles)
    if value == "all":
        return own
    names = rows.decode(value, list[str], path, findings) or []
    resolve(names, contexts, "context", path, findings)
    for index, name in enumerate(names):
        if name in contexts and name not in own:
            findings.add(f"{path}[{index}]", f'role {role} may not invoke context "{name}"')
    return frozenset(LegalContext(name) for name in names if name in own)
