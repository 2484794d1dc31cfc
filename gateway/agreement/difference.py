"""What differs between two revisions of the agreement: who gains and who loses what, term by term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.agreement.facts import facts
from gateway.agreement.schema import leaves
from gateway.agreement.section import Place, Section, Words
from gateway.agreement.terms import Agreement
from gateway.model import FieldId, View


@dataclass(frozen=True, slots=True)
class Change:
    """What one place says in one revision and not in the other."""

    place: Place
    gains: Words  # only in the new one
    loses: Words  # only in the old one


@dataclass(frozen=True, slots=True)
class Difference:
    """Two revisions compared."""

    files: Sequence[str]  # that differ, by name
    changes: Sequence[Change]  # in the order of the sections

    @property
    def same(self) -> bool:
        """Is it one revision? Two whose terms agree are two all the same when a file differs."""
        return not self.files


def compare(old: Agreement, new: Agreement) -> Difference:
    """Everything that differs. A file that differs without a change has other words, names of types or layout."""
    before, after = facts(old), facts(new)
    nothing: Words = frozenset()
    found = (
        Change(
            place,
            after.get(place, nothing) - before.get(place, nothing),
            before.get(place, nothing) - after.get(place, nothing),
        )
        for place in before.keys() | after.keys()
    )
    names = sorted(old.files.keys() | new.files.keys())
    return Difference(
        files=[name for name in names if old.files.get(name) != new.files.get(name)],
        changes=sorted((one for one in found if one.gains or one.loses), key=_order),
    )


def withheld(agreement: Agreement, place: Place, field: FieldId) -> str | None:
    """Why the field is withheld at a place of `Section.RECEIVES`: a reason of the view (PROTOCOL §7.4).

    None where it is released, and where nothing is granted at all or no payload has it.
    """
    view = _view(agreement, place)
    if view is None:
        return None
    reasons = [view.verdicts.get(leaf.path) for leaf in leaves(view.payload) if leaf.field == field]
    return None if None in reasons else next(iter(reasons), None)


def _view(agreement: Agreement, place: Place) -> View | None:
    assert place.section is Section.RECEIVES
    found = (
        view
        for (name, role, context, source, kind), view in agreement.views.items()
        if (name, role, context, source) == (place.operation, place.role, place.context, place.source)
        and kind is None
    )
    return next(found, None)


def _order(change: Change) -> tuple[int, str, str, str, str, str, str]:
    place = change.place
    return (
        list(Section).index(place.section),
        place.role or "",
        place.context or "",
        place.operation or "",
        place.source or "",
        place.name,
        place.what,
    )
