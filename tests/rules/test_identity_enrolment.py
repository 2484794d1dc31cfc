"""PROTOCOL §5.1: the list of enrolled certificates reads as a whole, or stops the start with every finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.identity.enrolment import EnrolmentError, ended, load_enrolment, written_line
from gateway.identity.leaf import Purpose
from tests.rules.identity_world import NOW, SIGNING
from tests.rules.test_identity_authority import authority, register

ONE, OTHER = "0" * 64, "f" * 64


@cache
def made() -> x509.Certificate:
    return SIGNING.make()


def line(authority: str = "BRUSSELS", purpose: str = "sign", sha256: str = ONE, **more: str) -> str:
    values = {"authority": authority, "purpose": purpose, "sha256": sha256}
    quoted = "".join(f'{name} = "{value}"\n' for name, value in values.items())
    return f"[[certificate]]\n{quoted}" + "".join(f"{name} = {value}\n" for name, value in more.items())


def load(*lines: str):
    return load_enrolment("".join(lines).encode(), "enrolled.toml", register())


def findings(*lines: str) -> list[str]:
    with pytest.raises(EnrolmentError) as caught:
        load(*lines)
    return [one.path for one in caught.value.findings]


def test_lines_are_read_and_found_by_fingerprint():
    found = load(line(), line("NSSO", "tls", OTHER, valid_from="2026-01-01T00:00:00Z"))
    first, second = found.by_fingerprint[bytes(32)], found.by_fingerprint[b"\xff" * 32]
    assert (first.authority, first.purpose, first.valid_from) == (authority("BRUSSELS"), Purpose.SIGN, None)
    assert (second.authority, second.purpose) == (authority("NSSO"), Purpose.TLS)
    assert second.valid_from == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_hub_has_lines_too():
    assert load(line("HUB")).by_fingerprint[bytes(32)].authority is register().hub


def test_a_list_without_lines_enrols_nobody():
    assert load("").by_fingerprint == {}


def test_several_certificates_of_one_authority_and_purpose_overlap():
    assert len(load(line(), line(sha256=OTHER)).by_fingerprint) == 2


FLAWS = {
    "an authority outside the register": (line("ATLANTIS"), ["certificate[0].authority"]),
    "capital digits": (line(sha256="A" * 64), ["certificate[0].sha256"]),
    "a digit too few": (line(sha256="0" * 63), ["certificate[0].sha256"]),
    "another purpose": (line(purpose="signing"), ["certificate[0].purpose"]),
    "a column that does not exist": (line(until="1"), ["certificate[0]"]),
    "a time without zone": (line(valid_from="2026-01-01T00:00:00"), ["certificate[0].valid_from"]),
    "an end before its beginning": (
        line(valid_from="2026-01-02T00:00:00Z", valid_until="2026-01-01T00:00:00Z"),
        ["certificate[0].valid_until"],
    ),
    "one fingerprint for two authorities": (
        line("BRUSSELS") + line("FLANDERS"),
        ["certificate[1].sha256"],
    ),
    "one fingerprint for two purposes": (line(), ["certificate[1].sha256"]),
    "another table": ("[other]\n", ["other"]),
    "no PEM": (line(certificate='"junk"'), ["certificate[0].certificate"]),
    "no TOML": ("[[certificate", [""]),
}
FLAWS["one fingerprint for two purposes"] = (line() + line(purpose="tls"), ["certificate[1].sha256"])


@pytest.mark.parametrize(("text", "paths"), FLAWS.values(), ids=FLAWS)
def test_a_list_with_a_flaw_stops_the_start_and_names_the_place(text, paths):
    assert findings(text) == paths


def test_every_flaw_is_found_at_once():
    assert findings(line("ATLANTIS"), line(sha256="x")) == [
        "certificate[0].authority",
        "certificate[1].sha256",
    ]


def test_a_certificate_that_is_not_the_one_of_the_fingerprint_is_found():
    text = written_line(authority("BRUSSELS").id, Purpose.SIGN, made())
    load(text)
    assert findings(text.replace(made().fingerprint(SHA256()).hex(), ONE)) == ["certificate[0].certificate"]


def test_a_written_line_reads_as_it_was_meant():
    print_ = made().fingerprint(SHA256())
    found = load("# by hand\n", written_line(authority("BRUSSELS").id, Purpose.SIGN, made()))
    assert found.by_fingerprint[print_].certificate == made()
    assert found.by_fingerprint[print_].holds(NOW)


def test_ending_a_line_leaves_every_other_byte():
    first, last = "# by hand\n" + line("NSSO", "tls", OTHER), line("FLANDERS", sha256="1" * 64)
    text = ended(first + line() + "# why\n" + last, bytes(32), NOW)
    assert text.startswith(first)
    assert text.endswith("# why\n" + last)
    found = load(text).by_fingerprint
    assert found[bytes(32)].valid_until == NOW
    assert found[b"\x11" * 32].valid_until is None
    earlier = ended(text, bytes(32), NOW - timedelta(days=1))
    assert load(earlier).by_fingerprint[bytes(32)].valid_until == NOW - timedelta(days=1)
    assert earlier.count("valid_until") == 1


def test_ending_a_line_that_is_not_there_is_a_mistake():
    with pytest.raises(KeyError):
        ended(line(), b"\xff" * 32, NOW)
