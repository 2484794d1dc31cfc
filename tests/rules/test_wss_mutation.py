"""Mutated messages: refused, or verified to the very Body that was signed; never any other exception."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Verified
from gateway.refusal import Code, Refusal
from gateway.wss.sign import Header, sign
from tests.world import ACTION, MORE, NOW, V11, V12, accept, build, holder, wsa

pytestmark = pytest.mark.no_cover  # the same lines, thousands of times

SEEDS = {
    "signed by xmlsec": build(version=V12, prefixes="#default soap", blocks=wsa("Action", ACTION, "a"), signed=("body", "time", "a")),
    "signed with ECDSA": build(holder=holder("p256"), method=f"{MORE}ecdsa-sha256", order=("signature", "token", "time")),
    "signed by ourselves": sign(
        '<s:x xmlns:s="urn:x">&amp;&#xD;é</s:x>',
        version=V11,
        key=holder("p256").signing,
        now=NOW,
        lifetime=timedelta(minutes=5),
        unique="0b7a3c4e-6f1d-4b7e-9a55-0d6a1f0d9b1c",
        addressing=[Header("Action", ACTION)],
    ),
}  # fmt: skip
DATA = st.sampled_from(sorted(SEEDS.values()))
BODIES = {data: accept(data).body for data in SEEDS.values()}


def outcome(data: bytes) -> Verified | Code:
    try:
        return accept(data)
    except Refusal as refusal:
        return refusal.code


def judge(original: bytes, mutated: bytes) -> None:
    result = outcome(mutated)
    if isinstance(result, Verified):
        assert result.body == BODIES[original]
    else:
        assert result.row.code[:5] in {"WIB01", "WIB02", "WIB03", "WIB04"}


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("data", SEEDS.values(), ids=SEEDS)
def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing_that_is_read(data: bytes):
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 7
        judge(data, bytes(flipped))


@pytest.mark.parametrize("data", SEEDS.values(), ids=SEEDS)
def test_a_truncated_message_is_refused(data: bytes):
    for length in range(0, len(data), 7):
        assert outcome(data[:length]) in {Code.XML_MALFORMED, Code.SOAP_VERSION}


MARKUP = [
    b"<",
    b">",
    b"&",
    b'"',
    b"'",
    b"\0",
    b"=",
    b"#",
    b" ",
    b"\n",
    b"\r",
    b"]]>",
    b"<!--x-->",
    b"<?x?>",
    b"<x/>",
    b"</x>",
]
CODED = [b"&#13;", b"&amp;", b"<![CDATA[", b"<![CDATA[]]>", b"<!DOCTYPE x>", b"\xef\xbb\xbf", b"\xff"]
NAMES = [
    b' Id="body"',
    b' wsu:Id="body"',
    b"body",
    b' xmlns="urn:x"',
    b' xmlns:soap="urn:x"',
    b' xmlns:r="r"',
]
ELEMENTS = [b"<soap:Body/>", b"<wsse:Security/>", b"<ds:Object/>", b"<wsu:Timestamp/>"]
SPLINTERS = st.sampled_from([*MARKUP, *CODED, *NAMES, *ELEMENTS])
POSITION = st.floats(0, 1, exclude_max=True)


@given(DATA, st.lists(st.tuples(POSITION, st.binary(max_size=4) | SPLINTERS), min_size=1, max_size=3))
@settings(deadline=None, derandomize=True, max_examples=1_500)
def test_inserted_bytes_are_refused_or_change_nothing_that_is_read(data: bytes, insertions):
    mutated = data
    for position, inserted in insertions:
        at = int(position * len(mutated))
        mutated = mutated[:at] + inserted + mutated[at:]
    judge(data, mutated)


@given(DATA, POSITION, POSITION, POSITION)
@settings(deadline=None, derandomize=True, max_examples=1_000)
def test_a_piece_removed_doubled_or_moved_is_refused_or_changes_nothing_that_is_read(
    data: bytes, start, length, to
):
    first = int(start * len(data))
    last = min(len(data), first + 1 + int(length * 400))
    piece, rest = data[first:last], data[:first] + data[last:]
    at = int(to * len(rest))
    judge(data, rest)
    judge(data, data[:last] + piece + data[last:])
    judge(data, rest[:at] + piece + rest[at:])


@st.composite
def element_moves(draw):
    """Whole elements moved: unlike bytes, these survive the parser."""
    data = draw(DATA)
    pieces = data.replace(b"><", b">\0<").split(b"\0")
    index, to = draw(st.integers(0, len(pieces) - 1)), draw(st.integers(0, len(pieces) - 1))
    piece = pieces.pop(index)
    pieces.insert(to, piece)
    return data, b"".join(pieces)


@given(element_moves())
@settings(deadline=None, derandomize=True, max_examples=500)
def test_a_tag_moved_is_refused_or_changes_nothing_that_is_read(moved):
    judge(*moved)


@given(st.sampled_from([V11, V12]), st.data())
@settings(deadline=None, derandomize=True, max_examples=500)
def test_attributes_with_wrong_values_are_refused_or_change_nothing_that_is_read(version, draw):
    data = SEEDS["signed by xmlsec"]
    values = data.split(b'"')
    at = draw.draw(st.integers(0, len(values) // 2 - 1)) * 2 + 1
    values[at] = draw.draw(st.sampled_from(values[1::2]) | st.binary(max_size=8))
    judge(data, b'"'.join(values))
