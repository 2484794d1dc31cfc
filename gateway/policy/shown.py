"""What a release showed and withheld, group by group, and the cells of the matrix by which it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.agreement.load import Agreement
from gateway.agreement.schema import leaves
from gateway.agreement.terms import Source
from gateway.model import FieldId, OperationName, Role


@dataclass(slots=True)
class Shown:
    """One field group of the payload."""

    code: str  # "G08"; "DOC" for the document itself
    name: str
    released: list[FieldId] = field(default_factory=list)
    withheld: dict[str, list[FieldId]] = field(default_factory=dict)  # reason → fields
    receives: Source | None = None  # of the recipient's cell
    provides: Source | None = None  # of the provider's


def shown(
    verdicts: Mapping[str, str | None],
    operation: OperationName,
    recipient: Role,
    provider: Role | None,
    agreement: Agreement,
) -> Sequence[Shown]:
    """`verdicts`: of the entry, by path; `agreement`: the revision that it names. Groups in their order."""
    found: dict[str, Shown] = {}
    known = agreement.operations.get(operation)
    for leaf in () if known is None else leaves(known.messages.payload):
        if leaf.field is None or leaf.path not in verdicts:
            continue
        group = found.setdefault(
            leaf.field.partition(".")[0], _group(leaf.field, recipient, provider, agreement)
        )
        reason = verdicts[leaf.path]
        fields = group.released if reason is None else group.withheld.setdefault(reason, [])
        if leaf.field not in fields:
            fields.append(leaf.field)
    return [found[code] for code in sorted(found)]


def _group(one: FieldId, recipient: Role, provider: Role | None, agreement: Agreement) -> Shown:
    code = one.partition(".")[0]
    group = agreement.groups.get(code)
    if group is None:  # a document: its group is that of its type
        return Shown(code, "document")
    provides = None if provider is None else group.cells[provider].source
    return Shown(code, group.name, receives=group.cells[recipient].source, provides=provides)
