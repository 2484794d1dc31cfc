"""The filter: for any payload of the contract and any view of the agreement, only what the view names comes out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.agreement.answer import leaves
from gateway.model import (
    DOSSIER,
    Answer,
    Node,
    Outcome,
    Permitted,
    View,
)
from gateway.policy.view import apply_view
from gateway.soap.xml import canonical
from tests.path.hub import agreement, authority

pytestmark = pytest.mark.no_cover  # the same lines, thousands of times

PLATFORM = authority("PLATFORM")
VIEWS = sorted(  # that release something: policy.decide refuses the others
    (key for key, view in agreement()._views.items() if None in view.verdicts.values()),
    key=lambda key: tuple(map(str, key)),
)
TEXT = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff", include_characters="\t\n\r&<>'\""
    ),
    max_size=12,
)
SETTINGS = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def draw_payload(draw: st.DrawFn, node: Node) -> etree._Element:
    """Any element of the contract: each child absent, once, or twice where it may be repeated."""
    element = etree.Element(
        f"{{{node.namespace}}}{node.name}", nsmap={draw(st.sampled_from(["q", "zz"])): node.namespace}
    )
    if not node.children:
        element.text = draw(TEXT)
    for child in node.children:
        for _ in range(draw(st.integers(0, 2 if child.repeated else 1))):
            element.append(draw_payload(draw, child))
    return element


@st.composite
def released(draw: st.DrawFn):
    view = agreement().view(*draw(st.sampled_from(VIEWS)))
    payloads = [draw_payload(draw, view.payload) for _ in range(draw(st.integers(1, 2)))]
    return view, payloads


def apply(view: View, payloads: list[etree._Element]):
    permitted = Permitted(None, (PLATFORM,), view, {}, "")
    answers = [Answer(PLATFORM, Outcome.DATA_FOUND, payload, b"") for payload in payloads]
    return apply_view(permitted, answers, [])


def texts(node: Node, payloads: list[etree._Element]) -> Iterator[tuple[str, str]]:
    for payload in payloads:
        for leaf, text in leaves(node, payload):
            yield leaf.path, text


@SETTINGS
@given(released())
def test_exactly_the_texts_of_released_leaves_come_out(case):
    view, payloads = case
    outcome = apply(view, payloads)
    expected = {path: [] for path, reason in view.verdicts.items() if reason is None}
    for path, text in texts(view.payload, payloads):
        if path in expected:
            expected[path].append(text)
    assert {path: list(found) for path, found in outcome.values.items()} == expected
    written = etree.fromstring(wrapped(outcome.payload))  # no payload at all when nothing is released
    shown = [(leaf.path, text) for element in written for leaf, text in leaves(view.payload, element)]
    assert all(view.verdicts[path] is None for path, _ in shown)
    assert sorted(shown) == sorted((path, text) for path, found in expected.items() for text in found)


@SETTINGS
@given(released())
def test_what_is_written_is_its_own_canonical_form(case):
    view, payloads = case
    written = apply(view, payloads).payload
    elements = etree.fromstring(wrapped(written))
    assert "".join(canonical(element, None).decode().replace(S, "", 1) for element in elements) == written


S = ' xmlns:s="http://workinginbelgium.be/intf/ExchangeService/v1"'


def wrapped(payload: str) -> bytes:
    return f"<s:x{S}>{payload}</s:x>".encode()


@given(st.sampled_from(VIEWS))
def test_a_view_partitions_the_leaf_paths_of_its_payload(key):
    view = agreement().view(*key)
    assert set(view.verdicts) == set(leaf_paths(view.payload))
    assert list(view.verdicts) == sorted(view.verdicts)


def leaf_paths(node: Node) -> Iterator[str]:
    if not node.children:
        yield node.path
    for child in node.children:
        yield from leaf_paths(child)


def test_an_element_that_the_contract_does_not_know_is_never_passed():
    view = agreement().view("consultDossier", "REG", "WIB:WORK_DECISION", "PLAT")
    payload = etree.fromstring(
        wrapped(
            f'<s:dossier><d:worker xmlns:d="{DOSSIER}"><d:secret>x</d:secret></d:worker><s:y>z</s:y></s:dossier>'
        )
    )[0]
    assert apply(view, [payload]).payload == ""
