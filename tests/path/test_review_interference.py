"""What a requester gets is a function of the released fields alone: whatever else an answer holds changes nothing."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from lxml import etree

from gateway.exchangelog import entry
from gateway.model import Node, Outcome, Released, View
from tests.path.hub import agreement
from tests.rules.test_policy_view import SETTINGS, apply, released

pytestmark = pytest.mark.no_cover  # the same lines, thousands of times


def pruned(node: Node, element: etree._Element, view: View) -> etree._Element | None:
    """The same element without what the view withholds; None when nothing is left of it."""
    if not node.children:
        return None if view.verdicts.get(node.path) is not None else deepcopy(element)
    by_tag = {f"{{{child.namespace}}}{child.name}": child for child in node.children}
    kept = [pruned(by_tag[str(child.tag)], child, view) for child in element]
    shell = etree.Element(element.tag, nsmap=element.nsmap)
    shell.extend(child for child in kept if child is not None)
    return shell if len(shell) else None


def told(outcome: Released) -> tuple[object, ...]:
    return outcome.outcome, outcome.payload, outcome.values


@SETTINGS
@given(released())
def test_an_answer_without_its_withheld_fields_gives_the_same_reply(case):
    view, payloads = case
    rest = [element for payload in payloads if (element := pruned(view.payload, payload, view)) is not None]
    whole = apply(view, payloads)
    assert told(whole) == (told(apply(view, rest)) if rest else (Outcome.NO_DATA_FOUND, "", whole.values))
    assert rest or not any(whole.values.values())


@SETTINGS
@given(released())
def test_field_records_are_as_many_whatever_an_answer_holds(case):
    view, payloads = case
    plan = entry.FieldPlan(view.verdicts)
    seed = bytes(32)
    full = plan.commit(apply(view, payloads).values, seed)
    none = plan.commit(apply(view, [etree.Element(payloads[0].tag)]).values, seed)
    assert len(full.digests) == len(none.digests)


def test_every_view_declares_what_it_withholds_without_looking_at_an_answer():
    for key, view in agreement()._views.items():
        paths = {path for path, reason in view.verdicts.items() if reason not in {None, "PROVIDER"}}
        covered = {path for path in paths if any(f"{path}/".startswith(f"{one}/") for one in view.filtered)}
        assert covered == paths, key
        open_paths = [path for path, reason in view.verdicts.items() if reason is None]
        assert not [
            path for path in open_paths if any(f"{path}/".startswith(f"{one}/") for one in view.filtered)
        ]
