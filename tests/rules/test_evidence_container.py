"""The ZIP of an evidence file has one form: everything else that is a ZIP to somebody is none to us."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.evidence import container
from gateway.exchangelog.flaw import Flaw, ProofError

MEMBERS = {"checkpoint": b"one\n", "entries/1/message-1.xml": b"<a/>" * 500, "empty": b""}
GOOD = container.write(MEMBERS)
NAMES = st.from_regex(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}(/[A-Za-z0-9][A-Za-z0-9._-]{0,20}){0,3}", fullmatch=True
)


def refused(data: bytes) -> bool:
    with pytest.raises(ProofError) as caught:
        container.read(data)
    return caught.value.flaw is Flaw.CONTAINER


def zipped(members: list[tuple[str, bytes]], **change: object) -> bytes:
    """By zipfile, as anybody would; `change`: of each member's description."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in [("mimetype", container.MEDIA_TYPE.encode()), *members]:
            one = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            for key, value in change.items():
                setattr(one, key, value)
            archive.writestr(one, data)
    return file.getvalue()


def test_what_is_written_is_read():
    assert container.read(GOOD) == MEMBERS
    assert list(container.read(GOOD)) == list(MEMBERS)


def test_the_same_members_are_the_same_file():
    assert container.write(MEMBERS) == GOOD


def test_any_zip_reader_reads_it_and_file_tells_what_it_is():
    with zipfile.ZipFile(io.BytesIO(GOOD)) as archive:
        assert archive.testzip() is None
        assert {one: archive.read(one) for one in archive.namelist()[1:]} == MEMBERS
    # EN 319 162-1 annex A.1: at a fixed place, for programs that look at the first bytes alone.
    assert GOOD[30:38] == b"mimetype"
    assert GOOD[38:].startswith(container.MEDIA_TYPE.encode())


@settings(max_examples=40)
@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=6))
def test_members_of_any_content_come_back(members):
    members = {name: one for name, one in members.items() if name.casefold() != "mimetype"}
    if len({name.casefold() for name in members}) == len(members):
        assert container.read(container.write(members)) == members


def test_a_file_that_was_cut_off_is_refused_wherever_it_was_cut():
    assert all(refused(GOOD[:end]) for end in range(len(GOOD)))


def test_a_changed_bit_is_refused_wherever_it_is():
    """But for those that fill the last byte of a deflated member: they belong to nothing (RFC 1951 §3.2.3)."""
    silent = 0
    for at in range(8 * len(GOOD)):
        changed = bytearray(GOOD)
        changed[at // 8] ^= 1 << at % 8
        with suppress(ProofError):
            assert container.read(bytes(changed)) == MEMBERS, at
            silent += 1
    assert silent < 8 * len(MEMBERS)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/x",
        "a/../x",
        "a//x",
        "a/",
        "a\\x",
        "C:x",
        "a b",
        "é",
        ".x",
        "a/.x",
        "",
        "x" * 201,
        "a\0b",
        "a\n",
    ],
)
def test_names_that_lead_elsewhere_are_refused(name):
    data = zipped([("placeholder", b"x")])
    assert container.read(data)
    raw, old = name.encode(), b"placeholder"
    assert refused(renamed(data, old, raw))


def renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """Local header and directory alike, with sizes and places that fit."""
    grown = len(new) - len(old)
    parts = data.split(old)
    assert len(parts) == 3
    before, between, after = map(bytearray, parts)
    struct.pack_into("<H", before, len(before) - 4, len(new))
    struct.pack_into("<H", between, len(between) - 18, len(new))
    size, start = struct.unpack_from("<2L", after, len(after) - 10)
    struct.pack_into("<2L", after, len(after) - 10, size + grown, start + grown)
    return bytes(before + new + between + new + after)


def test_a_name_that_stands_twice_is_refused():
    with pytest.warns(UserWarning, match="Duplicate"):
        assert refused(zipped([("a", b"1"), ("a", b"2")]))
    assert refused(zipped([("a", b"1"), ("A", b"2")]))  # one file, on some disks


def test_a_claim_of_more_bytes_than_there_are_is_refused_before_they_are_made():
    data = zipped([("x", bytes(container.MAX_BYTES + 1))], compress_type=zipfile.ZIP_DEFLATED)
    assert len(data) < 200_000
    assert refused(data)


def test_more_bytes_than_are_claimed_are_refused():
    """Both headers say 4 bytes; the stream goes on."""
    data = zipped([("x", b"<a/>" * 500)], compress_type=zipfile.ZIP_DEFLATED)
    crc = zlib.crc32(b"<a/>")
    old = struct.pack("<L", zlib.crc32(b"<a/>" * 500))
    size = struct.pack("<L", 2000)
    assert (data.count(old), data.count(size)) == (2, 2)
    assert refused(data.replace(old, struct.pack("<L", crc)).replace(size, struct.pack("<L", 4)))


@pytest.mark.parametrize(
    "data",
    {
        "nothing": b"",
        "bytes before": b"#!/bin/sh\n" + GOOD,
        "bytes behind": GOOD + b"\n",
        "another archive behind": GOOD + GOOD,
        "a comment": GOOD[:-2] + b"\1\0x",
        "an extra field": zipped([("a", b"1")], extra=b"\x75\x70\1\0x"),
        "a comment of a member": zipped([("a", b"1")], comment=b"x"),
        "another method": zipped([("a", b"1")], compress_type=zipfile.ZIP_BZIP2),
        "an empty archive": b"PK\5\6" + bytes(18),
        "no mimetype": GOOD.replace(b"mimetype", b"nimetype"),
        "another mimetype": GOOD.replace(b"asic-e", b"asic-s"),
    }.values(),
)
def test_other_archives_are_refused(data):
    assert refused(data)


def test_mimetype_comes_first():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a"), b"1")
        archive.writestr(zipfile.ZipInfo("mimetype"), container.MEDIA_TYPE)
    assert refused(file.getvalue())


def test_too_many_members_are_refused():
    assert refused(zipped([(f"m{n}", b"") for n in range(container.MAX_MEMBERS)]))
